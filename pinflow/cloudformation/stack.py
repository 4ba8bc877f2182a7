"""The resources of localstack/template.yaml on AWS as one CloudFormation stack: plan, create, update, delete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from foundation.aws import client
from foundation.errors import PinflowError, brief
from foundation.profile import ROOT, Profile
from foundation.service import Say
from services.localstack import cloudformation

Data = Literal["bucket", "dag-bucket", "streams"]

TEMPLATE = ROOT / "localstack" / "template.yaml"
STAYS = ("AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::MSK::Topic", "AWS::ApiGateway::Account")
"""Types that survive the stack by the template's DeletionPolicy; so does the role for the account's logs."""

_POLL = 1.0
_LONGEST = 1800.0  # seconds; the whole stack takes about two minutes
_NEVER_MADE = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED")
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class Change:
    """The planned action on a resource: Add, Modify or Remove; ``replacement`` is True, False or Conditional."""

    action: str
    resource: str
    kind: str
    replacement: str = ""


@dataclass(frozen=True)
class ChangeSet:
    """A change set's name, the changes that AWS plans for the stack, and the missing streams.

    If ``makes_streams``, the stack creates them; otherwise they are created outside the stack.
    """

    name: str
    of_stack: list[Change]
    missing_streams: list[str]
    makes_streams: bool

    @property
    def changes(self) -> list[Change]:
        """All changes, including streams outside the stack."""
        beside = [] if self.makes_streams else self.missing_streams
        return [*self.of_stack, *(Change("Add", stream, "AWS::Kinesis::Stream") for stream in beside)]


@dataclass(frozen=True)
class Resource:
    """A resource of the stack: its logical id, its type, its physical name."""

    resource: str
    kind: str
    name: str

    @property
    def stays(self) -> bool:
        """Whether it is kept when the stack is deleted."""
        return self.kind in STAYS or self.resource == "LogsRole"


class Stack:
    """The stack `pinflow-<uid>` of a profile. Every method raises PinflowError with AWS's message."""

    def __init__(self, profile: Profile) -> None:
        if profile.stack and "localstack" in profile.stack.services:
            raise PinflowError(
                f"{profile.path}: LocalStack deploys {TEMPLATE.relative_to(ROOT)} by itself at every start",
                "make up; or use a profile for AWS, such as PROFILE=aws",
            )
        self.profile, self.name = profile, f"pinflow-{profile.uid}"
        self._cloudformation: Any = client(profile, "cloudformation")

    def plan(self) -> list[Change]:
        """What `up` would change; deletes its change set afterwards."""
        with self._errors(), self._change_set() as planned:
            return planned.changes

    def up(self, agreed: Callable[[list[Change]], bool], say: Say) -> dict[str, str] | None:
        """Create or update the stack if ``agreed`` accepts the changes; returns its outputs, None if refused.

        Reports every event of the stack.
        """
        with self._errors():
            if self._status() in _NEVER_MADE:
                say(f"{self.name} was never created completely: deleting the remains of the failed attempt first")
                self._delete(say)
            with self._change_set() as planned:
                if planned.changes and not agreed(planned.changes):
                    return None
                self._make_streams(planned, say)
                if planned.of_stack:
                    self._execute(planned.name, say)
            return cloudformation.outputs(self._cloudformation, self.name)

    def resources(self) -> list[Resource]:
        """The stack's resources; empty if there is no stack."""
        with self._errors():
            if self._status() is None:
                return []
            pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
            return [
                Resource(one["LogicalResourceId"], one["ResourceType"], one.get("PhysicalResourceId", ""))
                for page in pages
                for one in page["StackResourceSummaries"]
                if one["ResourceStatus"] != "DELETE_COMPLETE"
            ]

    def down(self, say: Say) -> None:
        """Delete the stack; buckets and streams stay with their contents."""
        with self._errors():
            self._delete(say)

    def delete_data(self, what: Data, say: Say) -> None:
        """Delete a bucket with every version of every object, or the three streams with their records."""
        with self._errors():
            if what == "streams":
                self._delete_streams(say)
            else:
                self._delete_bucket(self.bucket(what), say)

    def bucket(self, what: Data) -> str:
        """The name of "bucket" or "dag-bucket"."""
        storage = self.profile.storage
        return storage.bucket if what == "bucket" else storage.dag_bucket

    def _client(self, service: str) -> Any:
        return client(self.profile, service)

    def _parameters(self) -> dict[str, str]:
        profile, key = self.profile, self.profile.api.api_key
        return {
            "UserId": profile.uid,
            "BucketName": profile.storage.bucket,
            "DagBucketName": profile.storage.dag_bucket,
            "RestProxyUrl": profile.rest_proxy.url,
            "ShardCount": str(profile.kinesis.shards or 0),
            "MskClusterArn": profile.kafka.cluster_arn or "",
            "PartitionCount": str(profile.kafka.partitions),
            "ApiAuthorization": profile.api.authorization,
            "ApiKeyValue": key.get_secret_value() if key else "",
        }

    @contextmanager
    def _change_set(self) -> Iterator[ChangeSet]:
        """A change set: AWS compares the template with the existing stack."""
        status = self._status()
        if status and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise PinflowError(f"stack {self.name} is {status}", "wait until that has finished, then try again")
        if status in _NEVER_MADE:
            raise PinflowError(f"stack {self.name} is {status}: it was never created completely", "make aws-up")
        new = status in (None, "REVIEW_IN_PROGRESS")
        parameters = self._parameters()
        before = {} if new else self._parameters_before()
        missing = cloudformation.missing_streams(self._client, self.profile.streams)
        creations = self._creations(parameters, before, missing)
        name = f"pinflow-{time.time_ns()}"
        self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType="CREATE" if new else "UPDATE",
            TemplateBody=cloudformation.with_new_deployment(TEMPLATE.read_text(encoding="utf-8"), parameters),
            Parameters=cloudformation.given(parameters | {key: str(new).lower() for key, new in creations.items()}),
            Capabilities=["CAPABILITY_IAM"],
        )
        try:
            makes_streams = creations["CreateStreams"] and before.get("CreateStreams") != "true"
            yield ChangeSet(name, self._changes(name), missing, makes_streams)
        finally:
            self._forget_change_set(name)

    def _parameters_before(self) -> dict[str, str]:
        return {one["ParameterKey"]: one["ParameterValue"] for one in (self._described() or {}).get("Parameters", [])}

    def _creations(self, parameters: dict[str, str], before: dict[str, str], missing: list[str]) -> dict[str, bool]:
        """Which resources the stack owns: those it owns already under the same name, and those that do not exist."""

        def own(create: str, name: str) -> bool:
            return before.get(create) == "true" and before.get(name) == parameters[name]

        storage = self.profile.storage
        return {
            "CreateBucket": own("CreateBucket", "BucketName") or not self._has_bucket("bucket", storage.bucket),
            "CreateDagBucket": own("CreateDagBucket", "DagBucketName")
            or not self._has_bucket("dag_bucket", storage.dag_bucket),
            "CreateStreams": own("CreateStreams", "UserId") or len(missing) == len(self.profile.streams),
            # An account has one role per region with which API Gateway writes logs.
            "CreateLogsRole": own("CreateLogsRole", "UserId")
            or not self._client("apigateway").get_account().get("cloudwatchRoleArn"),
        }

    def _has_bucket(self, key: str, bucket: str) -> bool:
        """Whether this account has the bucket in this region; raises PinflowError if the name is taken elsewhere."""
        region = self.profile.aws.region
        try:
            found = self._client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=self._account)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return False
            if status not in (301, 403):
                raise
            why = "in another region" if status == 301 else f"not of account {self._account}, or hidden from it"
        else:
            # boto3 follows a bucket to its region by itself.
            if found.get("BucketRegion", region) == region:
                return True
            why = f"in {found['BucketRegion']}, and aws.region is {region}"
        raise PinflowError(
            f"s3://{bucket} is {why}",
            f"choose another storage.{key}, such as one with your uid; if the bucket is yours, it must be in "
            "aws.region, and you need s3:ListBucket on it",
        )

    @cached_property
    def _account(self) -> str:
        return str(self._client("sts").get_caller_identity()["Account"])

    def _make_streams(self, planned: ChangeSet, say: Say) -> None:
        if planned.makes_streams:
            cloudformation.wait_until_deleted(self._client, planned.missing_streams)
            return
        cloudformation.make_streams(self._client, planned.missing_streams, self.profile.kinesis.shards or 0)
        for stream in planned.missing_streams:
            say(f"stream {stream}: created")

    def _changes(self, name: str) -> list[Change]:
        """The changes in a change set, once AWS has created it."""
        deadline = time.monotonic() + _LONGEST
        names = {"StackName": self.name, "ChangeSetName": name}
        while (found := self._cloudformation.describe_change_set(**names))["Status"] not in (
            "CREATE_COMPLETE",
            "FAILED",
        ):
            if time.monotonic() > deadline:
                raise PinflowError(f"stack {self.name}: no change set after {_LONGEST:.0f} s", "try again")
            time.sleep(_POLL)
        if found["Status"] == "FAILED":
            reason = str(found.get("StatusReason", ""))
            if any(text in reason for text in _UNCHANGED):
                return []
            raise PinflowError(f"stack {self.name}: {reason}", "fix what it names: the profile or your permissions")
        changes = list(found["Changes"])
        while token := found.get("NextToken"):
            found = self._cloudformation.describe_change_set(**names, NextToken=token)
            changes += found["Changes"]
        return [_change(one["ResourceChange"]) for one in changes]

    def _forget_change_set(self, name: str) -> None:
        """Delete a change set, if it was not executed, and the empty stack that one for a new stack creates."""
        with suppress(self._cloudformation.exceptions.ChangeSetNotFoundException):
            self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=name)
        if self._status() == "REVIEW_IN_PROGRESS":
            self._cloudformation.delete_stack(StackName=self.name)

    def _execute(self, name: str, say: Say) -> None:
        began = self._last_event()
        self._cloudformation.execute_change_set(StackName=self.name, ChangeSetName=name)
        status = self._follow(self.name, began, say)
        if status not in cloudformation.GOOD:
            why = cloudformation.first_failure(self._cloudformation, self.name)
            raise PinflowError(f"stack {self.name} is {status}: {why}", "fix what it names, then make aws-up again")

    def _delete(self, say: Say) -> None:
        # A deleted stack can be found only by its id.
        (stack,) = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        began = self._last_event()
        self._cloudformation.delete_stack(StackName=self.name)
        status = self._follow(stack["StackId"], began, say)
        if status not in (None, "DELETE_COMPLETE"):
            why = cloudformation.first_failure(self._cloudformation, stack["StackId"])
            raise PinflowError(f"stack {self.name} is {status}: {why}", "fix what it names, then make aws-down again")

    def _follow(self, stack: str, began: str, say: Say) -> str | None:
        """Report each event after ``began`` until the stack has settled; returns its status."""
        deadline, seen = time.monotonic() + _LONGEST, {began}
        while time.monotonic() < deadline:
            status = self._status(stack)
            for event in reversed(self._events_after(stack, began)):
                if event["EventId"] not in seen:
                    seen.add(event["EventId"])
                    say(_line(event))
            if status is None or not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(_POLL)
        raise PinflowError(
            f"stack {stack}: not finished after {_LONGEST:.0f} s", "it continues: see CloudFormation's console"
        )

    def _last_event(self) -> str:
        events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return events[0]["EventId"] if events else ""

    def _events_after(self, stack: str, began: str) -> list[dict[str, Any]]:
        """The events after ``began``, newest first."""
        found: list[dict[str, Any]] = []
        try:
            for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
                for event in page["StackEvents"]:
                    if event["EventId"] == began:
                        return found
                    found.append(dict(event))
        except ClientError:  # the stack is deleted
            return []
        return found

    def _status(self, stack: str = "") -> str | None:
        found = self._described(stack)
        return str(found["StackStatus"]) if found else None

    def _described(self, stack: str = "") -> dict[str, Any] | None:
        """The stack's description; None if it does not exist or was deleted."""
        try:
            (found,) = self._cloudformation.describe_stacks(StackName=stack or self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else dict(found)

    def _delete_streams(self, say: Say) -> None:
        absent = cloudformation.missing_streams(self._client, self.profile.streams)
        for stream in self.profile.streams:
            if stream not in absent:
                self._client("kinesis").delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
        for stream in self.profile.streams:  # deleting takes minutes; until then the name is taken
            cloudformation.wait_until_deleted(self._client, [stream])
            say(f"stream {stream}: {'does not exist' if stream in absent else 'deleted'}")

    def _delete_bucket(self, bucket: str, say: Say) -> None:
        s3, count = self._client("s3"), 0
        try:
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                keys = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
                if keys:
                    refused = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True}).get("Errors")
                    if refused:
                        raise PinflowError(f"s3://{bucket}/{refused[0]['Key']}: {refused[0]['Message']}", "s3:Delete*")
                count += len(keys)
            s3.delete_bucket(Bucket=bucket)
        except s3.exceptions.NoSuchBucket:
            say(f"s3://{bucket}: does not exist")
        else:
            say(f"s3://{bucket}: deleted, with {count:,} objects and versions")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, cloudformation.StackFailed) as error:
            where = self.profile.aws.endpoint_url or f"AWS, region {self.profile.aws.region}"
            raise PinflowError(
                f"stack {self.name} on {where}: {brief(error)}", "make doctor checks the credentials"
            ) from None


def _change(document: dict[str, Any]) -> Change:
    return Change(
        document["Action"],
        document["LogicalResourceId"],
        document["ResourceType"],
        document.get("Replacement", ""),
    )


def _line(event: dict[str, Any]) -> str:
    reason = event.get("ResourceStatusReason", "")
    what = f"{event['ResourceStatus']:<20} {event['ResourceType']:<28} {event['LogicalResourceId']}"
    return f"{event['Timestamp']:%H:%M:%S} {what}" + (f": {reason}" if reason else "")
