"""Create or update the stack of localstack/template.yaml, on AWS and on LocalStack alike.

Needs boto3 and nothing else of the project: LocalStack runs this file inside itself (ready.d), and there the
project's packages are not installed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

# A service's boto3 client by its name; the caller knows the region, the endpoint and the credentials.
Clients = Callable[[str], Any]

TIMEOUT = 300  # seconds; on AWS the whole stack takes about one minute
_POLL = 0.25


class StackFailed(Exception):
    """The stack did not become what the template says; the text names the resource and the service's reason."""


def deploy(clients: Clients, template: Path, parameters: dict[str, str], *, in_place: bool = True) -> dict[str, str]:
    """Bring the stack `pinflow-<UserId>` to what the template and the parameters say; returns its outputs.

    ``parameters`` are UserId, BucketName, DagBucketName and RestProxyUrl. Harmless when repeated, and quick where
    nothing changed. What exists already without being the stack's (a bucket given by somebody else, streams that
    outlived LocalStack's memory) is used as it is. ``in_place`` false stands for LocalStack, where a changed stack is
    refused: it reports an update of the API as done and the API is gone, and deletes buckets in spite of Retain.
    Raises StackFailed.
    """
    cloudformation, name = clients("cloudformation"), f"pinflow-{parameters['UserId']}"
    body = _with_new_deployment(template.read_text(encoding="utf-8"), parameters)
    status = _settled(cloudformation, name)
    if status in _GOOD and cloudformation.get_template(StackName=name)["TemplateBody"] == body:
        return _outputs(cloudformation, name)
    if status is not None and not in_place:
        raise StackFailed(f"stack {name} is {status} and differs from the template, and LocalStack cannot change it")
    if status in _ONLY_DELETABLE:
        cloudformation.delete_stack(StackName=name)
        status = _settled(cloudformation, name)
    request = {"StackName": name, "TemplateBody": body, "Capabilities": ["CAPABILITY_IAM"]}
    if status is None:
        cloudformation.create_stack(**request, Parameters=_given(parameters | _existing(clients, parameters)))
    else:
        kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in _CREATE]
        cloudformation.update_stack(**request, Parameters=_given(parameters) + kept)
    if _settled(cloudformation, name) not in _GOOD:
        raise StackFailed(f"stack {name}: {_first_failure(cloudformation, name)}")
    return _outputs(cloudformation, name)


_GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
_ONLY_DELETABLE = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED", "DELETE_FAILED")


def _outputs(cloudformation: Any, name: str) -> dict[str, str]:
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


_CREATE = ("CreateBucket", "CreateDagBucket", "CreateStreams")


def _given(parameters: dict[str, str]) -> list[dict[str, Any]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def _with_new_deployment(body: str, parameters: dict[str, str]) -> str:
    """The template with a digest in the Deployment's logical id: only a new id makes AWS deploy a changed API."""
    digest = hashlib.sha256(repr((body, sorted(parameters.items()))).encode()).hexdigest()[:8]
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


def _first_failure(cloudformation: Any, name: str) -> str:
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


def _existing(clients: Clients, parameters: dict[str, str]) -> dict[str, str]:
    """The values of CreateBucket, CreateDagBucket and CreateStreams for a new stack."""
    return {
        "CreateBucket": str(not _bucket_exists(clients, parameters["BucketName"])).lower(),
        "CreateDagBucket": str(not _bucket_exists(clients, parameters["DagBucketName"])).lower(),
        "CreateStreams": str(not _streams_exist(clients, parameters["UserId"])).lower(),
    }


def _bucket_exists(clients: Clients, bucket: str) -> bool:
    try:
        clients("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        # 403: it exists and is somebody else's; what must write into it will say so.
        return error.response["ResponseMetadata"]["HTTPStatusCode"] != 404
    return True


def _streams_exist(clients: Clients, user_id: str) -> bool:
    """Whether the streams are there; where only some are (a kill while they were made), the rest is made here."""
    kinesis = clients("kinesis")
    missing = []
    for name in (f"streaming-{user_id}-{table}" for table in ("pin", "geo", "user")):
        try:
            kinesis.describe_stream_summary(StreamName=name)
        except kinesis.exceptions.ResourceNotFoundException:
            missing.append(name)
    if len(missing) == 3:
        return False
    for name in missing:
        kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    return True
