"""The resources of localstack/template.yaml on AWS, as one CloudFormation stack: planned, made, changed, taken away."""

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
from services.localstack import cloudformation

Say = Callable[[str], None]
Data = Literal["bucket", "dag-bucket", "streams"]

TEMPLATE = ROOT / "localstack" / "template.yaml"
STAYS = ("AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::ApiGateway::Account")
"""What outlives the stack by the template's DeletionPolicy; the role of the account's logs does too."""

_POLL = 1.0
_LONGEST = 1800.0  # seconds; the whole stack takes about two minutes
_NEVER_MADE = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED")
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class Change:
    """What would become of a resource: Add, Modify or Remove; ``replacement`` True, False or Conditional."""

    action: str
    resource: str
    kind: str
    replacement: str = ""


@dataclass(frozen=True)
class ChangeSet:
    """A change set's name, what AWS says it would change, and the streams that are missing.

    The stack makes them if it ``makes_streams``; otherwise they are made beside it, and it goes on using their names.
    """

    name: str
    of_stack: list[Change]
    missing_streams: list[str]
    makes_streams: bool

    @property
    def changes(self) -> list[Change]:
        """All of it."""
        beside = [] if self.makes_streams else self.missing_streams
        return [*self.of_stack, *(Change("Add", stream, "AWS::Kinesis::Stream") for stream in beside)]


@dataclass(frozen=True)
class Resource:
    """A resource of the stack: its name in the template, its type, what AWS calls it."""

    resource: str
    kind: str
    name: str

    @property
    def stays(self) -> bool:
        """Whether it is kept when the stack is taken away."""
        return self.kind in STAYS or self.resource == "LogsRole"


class Stack:
    """The stack `pinflow-<uid>` of a profile. Every method raises PinflowError with what AWS said."""

    def __init__(self, profile: Profile) -> None:
        if profile.stack and "localstack" in profile.stack.services:
            raise PinflowError(
                f"{profile.path}: its LocalStack deploys {TEMPLATE.relative_to(ROOT)} by itself at each of its starts",
                "make up; or take a profile for AWS, such as PROFILE=aws",
            )
        self.profile, self.name = profile, f"pinflow-{profile.uid}"
        self._cloudformation: Any = client(profile, "cloudformation")

    def plan(self) -> list[Change]:
        """What `up` would change; nothing is left behind: the change set is deleted again."""
        with self._errors(), self._change_set() as planned:
            return planned.changes

    def up(self, agreed: Callable[[list[Change]], bool], say: Say) -> dict[str, str] | None:
        """Make or change the stack, when ``agreed`` says so; its outputs, None after a no.

        Says every event of the stack as it comes.
        """
        with self._errors():
            if self._status() in _NEVER_MADE:
                say(f"{self.name} was begun once and never made: what is left of it is removed first")
                self._delete(say)
            with self._change_set() as planned:
                if planned.changes and not agreed(planned.changes):
                    return None
                self._make_streams(planned, say)
                if planned.of_stack:
                    self._execute(planned.name, say)
            return cloudformation.outputs(self._cloudformation, self.name)

    def resources(self) -> list[Resource]:
        """What the stack consists of; empty where there is none."""
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
        """Take the stack away; buckets and streams stay, with all that is in them."""
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
            "ApiAuthorization": profile.api.authorization,
            "ApiKeyValue": key.get_secret_value() if key else "",
        }

    @contextmanager
    def _change_set(self) -> Iterator[ChangeSet]:
        """A change set, by which AWS compares the template with what is there."""
        status = self._status()
        if status and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise PinflowError(f"stack {self.name} is {status}", "wait until that is done, then try again")
        if status in _NEVER_MADE:
            raise PinflowError(f"stack {self.name} is {status}: it was never made", "make aws-up begins it anew")
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
        """What is to be the stack's own: what is already, under the same name, and what is not there."""

        def own(create: str, name: str) -> bool:
            return before.get(create) == "true" and before.get(name) == parameters[name]

        storage = self.profile.storage
        return {
            "CreateBucket": own("CreateBucket", "BucketName") or not self._has_bucket("bucket", storage.bucket),
            "CreateDagBucket": own("CreateDagBucket", "DagBucketName")
            or not self._has_bucket("dag_bucket", storage.dag_bucket),
            "CreateStreams": own("CreateStreams", "UserId") or len(missing) == len(self.profile.streams),
            # This account and region have one role by which API Gateway writes logs.
            "CreateLogsRole": own("CreateLogsRole", "UserId")
            or not self._client("apigateway").get_account().get("cloudwatchRoleArn"),
        }

    def _has_bucket(self, key: str, bucket: str) -> bool:
        """Whether this account has it, in this region; raises PinflowError where the name is somebody else's."""
        region = self.profile.aws.region
        try:
            found = self._client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=self._account)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return False
            if status not in (301, 403):
                raise
            why = "in another region" if status == 301 else f"not of account {self._account}, or it may not look at it"
        else:
            # boto3 goes after a bucket to its region by itself.
            if found.get("BucketRegion", region) == region:
                return True
            why = f"in {found['BucketRegion']}, and aws.region is {region}"
        raise PinflowError(
            f"s3://{bucket} is {why}",
            f"the name is taken: choose another storage.{key}, such as one with your uid; if the bucket is yours, you "
            "need s3:ListBucket on it, and it must be in aws.region",
        )

    @cached_property
    def _account(self) -> str:
        return str(self._client("sts").get_caller_identity()["Account"])

    def _make_streams(self, planned: ChangeSet, say: Say) -> None:
        if planned.makes_streams:
            cloudformation.wait_until_deleted(self._client, planned.missing_streams)
            return
        cloudformation.make_streams(self._client, planned.missing_streams)
        for stream in planned.missing_streams:
            say(f"stream {stream}: made")

    def _changes(self, name: str) -> list[Change]:
        """What the change set says, once AWS has made it."""
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
            raise PinflowError(f"stack {self.name}: {reason}", "mend what it names: the profile, or rights of yours")
        changes = list(found["Changes"])
        while token := found.get("NextToken"):
            found = self._cloudformation.describe_change_set(**names, NextToken=token)
            changes += found["Changes"]
        return [_change(one["ResourceChange"]) for one in changes]

    def _forget_change_set(self, name: str) -> None:
        """Also the empty stack that a change set for a new one brings along; one that was executed is gone already."""
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
            raise PinflowError(f"stack {self.name} is {status}: {why}", "mend what it names, then make aws-up again")

    def _delete(self, say: Say) -> None:
        # A deleted stack is to be found by its id only.
        (stack,) = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        began = self._last_event()
        self._cloudformation.delete_stack(StackName=self.name)
        status = self._follow(stack["StackId"], began, say)
        if status not in (None, "DELETE_COMPLETE"):
            why = cloudformation.first_failure(self._cloudformation, stack["StackId"])
            raise PinflowError(f"stack {self.name} is {status}: {why}", "mend what it names, then make aws-down again")

    def _follow(self, stack: str, began: str, say: Say) -> str | None:
        """Say each event after ``began`` until nothing is in progress any more; the stack's status then."""
        deadline, seen = time.monotonic() + _LONGEST, {began}
        while time.monotonic() < deadline:
            status = self._status(stack)
            for event in reversed(self._events_after(stack, began)):
                if event["EventId"] not in seen:
                    seen.add(event["EventId"])
                    say(_told(event))
            if status is None or not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(_POLL)
        raise PinflowError(
            f"stack {stack}: not done after {_LONGEST:.0f} s", "it goes on: CloudFormation's console shows it"
        )

    def _last_event(self) -> str:
        events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return events[0]["EventId"] if events else ""

    def _events_after(self, stack: str, began: str) -> list[dict[str, Any]]:
        """Newest first, as AWS gives them, a page at a time."""
        found: list[dict[str, Any]] = []
        try:
            for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
                for event in page["StackEvents"]:
                    if event["EventId"] == began:
                        return found
                    found.append(dict(event))
        except ClientError:  # gone, where a deleted stack leaves nothing behind
            return []
        return found

    def _status(self, stack: str = "") -> str | None:
        found = self._described(stack)
        return str(found["StackStatus"]) if found else None

    def _described(self, stack: str = "") -> dict[str, Any] | None:
        """The stack as AWS describes it; None where it is not there, or no longer."""
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
        for stream in self.profile.streams:  # Kinesis takes minutes; until then nobody can make one of that name
            cloudformation.wait_until_deleted(self._client, [stream])
            say(f"stream {stream}: {'not there' if stream in absent else 'deleted'}")

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
            say(f"s3://{bucket}: not there")
        else:
            say(f"s3://{bucket}: deleted, with {count:,} objects and versions")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, cloudformation.StackFailed) as error:
            where = self.profile.aws.endpoint_url or f"AWS, region {self.profile.aws.region}"
            raise PinflowError(
                f"stack {self.name} on {where}: {brief(error)}", "make doctor says whether the credentials are well"
            ) from None


def _change(document: dict[str, Any]) -> Change:
    return Change(
        document["Action"],
        document["LogicalResourceId"],
        document["ResourceType"],
        document.get("Replacement", ""),
    )


def _told(event: dict[str, Any]) -> str:
    reason = event.get("ResourceStatusReason", "")
    what = f"{event['ResourceStatus']:<20} {event['ResourceType']:<28} {event['LogicalResourceId']}"
    return f"{event['Timestamp']:%H:%M:%S} {what}" + (f": {reason}" if reason else "")
