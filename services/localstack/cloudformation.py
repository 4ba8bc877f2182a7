"""The stack of localstack/template.yaml: made in LocalStack; pinflow/cloudformation makes it on AWS.

Needs boto3 and nothing else of the project: LocalStack runs this file inside itself (ready.d), and there the
project's packages are not installed.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

# A service's boto3 client by its name; the caller knows the region, the endpoint and the credentials.
Clients = Callable[[str], Any]

TIMEOUT = 300  # seconds
_POLL = 0.25


class StackFailed(Exception):
    """The stack did not become what the template says; the text names the resource and the service's reason."""


def deploy(clients: Clients, template: Path, parameters: dict[str, str]) -> dict[str, str]:
    """Make the stack `pinflow-<UserId>` as the template and the parameters say; returns its outputs.

    ``parameters`` are those of the template without CreateBucket, CreateDagBucket and CreateStreams. Harmless when
    repeated, and quick where nothing changed. What exists already without being the stack's (a bucket given by
    somebody else, streams that outlived LocalStack's memory) is used as it is. A stack that differs is refused:
    LocalStack reports an update of the API as done and the API is gone, and deletes buckets in spite of Retain; on
    AWS, pinflow/cloudformation/stack.py changes it. Raises StackFailed.
    """
    cloudformation, name = clients("cloudformation"), f"pinflow-{parameters['UserId']}"
    parameters = parameters | {"AccessLog": "false"}  # CloudWatch Logs is not among LocalStack's services here
    body = with_new_deployment(template.read_text(encoding="utf-8"), parameters)
    status = _settled(cloudformation, name)
    if status in GOOD and cloudformation.get_template(StackName=name)["TemplateBody"] == body:
        return outputs(cloudformation, name)
    if status is not None:
        raise StackFailed(f"stack {name} is {status} and differs from the template, and LocalStack cannot change it")
    streams = _streams(body, parameters["UserId"])
    missing = missing_streams(clients, streams)
    creations = _creations(clients, parameters, all_streams=missing == streams)
    if creations["CreateStreams"] == "true":
        wait_until_deleted(clients, missing)
    else:  # some are there (a kill while they were made)
        make_streams(clients, missing, int(parameters["ShardCount"]))
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=body,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=given(parameters | creations),
    )
    if _settled(cloudformation, name) not in GOOD:
        raise StackFailed(f"stack {name}: {first_failure(cloudformation, name)}")
    return outputs(cloudformation, name)


GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def outputs(cloudformation: Any, name: str) -> dict[str, str]:
    """The stack's outputs by their names."""
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def given(parameters: dict[str, str]) -> list[dict[str, Any]]:
    """Parameters as CloudFormation takes them."""
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def with_new_deployment(body: str, parameters: dict[str, str]) -> str:
    """The template with a digest in the Deployment's logical id: only a new id makes AWS deploy a changed API."""
    # Of the API key, only whether there is one: what a digest is made of can be guessed and tried.
    public = {key: bool(value) if key == "ApiKeyValue" else value for key, value in parameters.items()}
    digest = hashlib.sha256(repr((body, sorted(public.items()))).encode()).hexdigest()[:8]
    return body.replace("ApiDeployment", f"ApiDeployment{digest}")


def _settled(cloudformation: Any, name: str) -> str | None:
    """The stack's status once nothing is in progress; None where there is no stack."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        status: str = stack["StackStatus"]
        if status == "DELETE_COMPLETE":
            return None
        if not status.endswith("_IN_PROGRESS"):
            return status
        if time.monotonic() > deadline:
            raise StackFailed(f"stack {name}: still {status} after {TIMEOUT} s")
        time.sleep(_POLL)


def first_failure(cloudformation: Any, name: str) -> str:
    """The resource that failed first, and why: later ones are only cancelled because of it."""
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    if not failed:
        return str(events[0]["ResourceStatus"]) if events else "no events"
    event = min(failed, key=lambda event: event["Timestamp"])
    return (
        f"{event['LogicalResourceId']} ({event['ResourceType']}): {event['ResourceStatus']}: "
        f"{event.get('ResourceStatusReason', 'no reason given')}"
    )


def _streams(template: str, user_id: str) -> list[str]:
    """The names of the template's streams: LocalStack has this file and the template, and not the registry."""
    names = re.findall(
        r"^ +Name: !Sub ['\"]?(streaming-[^\s'\"]+)", template.replace("${UserId}", user_id), re.MULTILINE
    )
    if not names:
        raise StackFailed("the template has no line such as `Name: !Sub streaming-${UserId}-pin`")
    return names


def missing_streams(clients: Clients, names: Iterable[str]) -> list[str]:
    """Which of the streams do not exist or are being deleted, which takes Kinesis minutes."""
    kinesis = clients("kinesis")
    missing = []
    for name in names:
        try:
            found = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        except kinesis.exceptions.ResourceNotFoundException:
            missing.append(name)
        else:
            if found["StreamStatus"] == "DELETING":
                missing.append(name)
    return missing


def make_streams(clients: Clients, names: list[str], shards: int) -> None:
    """Make streams without the stack, which makes all of them or none; 0 ``shards`` is on demand."""
    kinesis = clients("kinesis")
    size: dict[str, Any] = {"StreamModeDetails": {"StreamMode": "PROVISIONED" if shards else "ON_DEMAND"}}
    if shards:
        size["ShardCount"] = shards
    wait_until_deleted(clients, names)
    for name in names:
        kinesis.create_stream(StreamName=name, **size)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": TIMEOUT})


def wait_until_deleted(clients: Clients, names: list[str]) -> None:
    """Until then their names are taken."""
    waiter = clients("kinesis").get_waiter("stream_not_exists")
    for name in names:
        waiter.wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": TIMEOUT})


def _creations(clients: Clients, parameters: dict[str, str], *, all_streams: bool) -> dict[str, str]:
    """The values of CreateBucket, CreateDagBucket and CreateStreams for a new stack."""
    return {
        "CreateBucket": str(not _bucket_exists(clients, parameters["BucketName"])).lower(),
        "CreateDagBucket": str(not _bucket_exists(clients, parameters["DagBucketName"])).lower(),
        "CreateStreams": str(all_streams).lower(),
    }


def _bucket_exists(clients: Clients, bucket: str) -> bool:
    try:
        clients("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        # Of another account or region of LocalStack: it exists, and what must write into it will say so.
        if status not in (301, 403, 404):
            raise
        return status != 404
    return True
