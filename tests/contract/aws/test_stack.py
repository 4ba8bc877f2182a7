"""`aws-plan`, `aws-up`, `aws-down`: what they show, make, leave and take away."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY
from click.testing import CliRunner, Result

from foundation.aws import client
from foundation.errors import PinflowError
from foundation.profile import Kinesis, Profile, load
from pinflow.cli import cli
from pinflow.cloudformation import stack as stacks
from pinflow.cloudformation.stack import STAYS, Stack
from tests.contract.aws.conftest import ACCOUNT, API_KEY, REGION, UID, write_profile
from tests.contract.doctor.conftest import Stubs
from tests.unit.test_template import RESOURCES

NAME = f"pinflow-{UID}"
PLACE: Any = {"LocationConstraint": REGION}
STACK_ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{NAME}/1"


def run(profile: Profile, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--profile", str(profile.path), *arguments])


@pytest.fixture
def other(far_end: str, as_person: pytest.MonkeyPatch, tmp_path: Path) -> Profile:
    """A profile of which nothing is at the far end."""
    profile = write_profile(tmp_path / "other.yaml", far_end)
    document = profile.path.read_text().replace(UID, "0000aaaa1111")
    profile.path.write_text(document)
    return load(str(profile.path))


def test_a_plan_names_what_would_be_made_and_leaves_nothing(other: Profile) -> None:
    result = run(other, "aws-plan")
    assert result.exit_code == 0
    added = set(re.findall(r"add +(\w+)", result.output))
    assert {"Bucket", "DagBucket", "PinStream", "GeoStream", "UserStream", "Api", "Stage", "KinesisRole"} <= added
    assert f"account {ACCOUNT}, region {REGION}" in result.output
    stacks_there = client(other, "cloudformation").list_stacks()["StackSummaries"]
    assert not [s for s in stacks_there if "0000aaaa1111" in s["StackName"] and s["StackStatus"] != "DELETE_COMPLETE"]
    assert "user-0000aaaa1111-bucket" not in {b["Name"] for b in client(other, "s3").list_buckets()["Buckets"]}


def test_a_bucket_that_exists_is_used_and_not_made(other: Profile) -> None:
    s3 = client(other, "s3")
    s3.create_bucket(Bucket=other.storage.bucket, CreateBucketConfiguration=PLACE)
    try:
        assert {"Bucket", "DagBucket"} & {change.resource for change in Stack(other).plan()} == {"DagBucket"}
    finally:
        s3.delete_bucket(Bucket=other.storage.bucket)


def test_without_anybody_to_ask_nothing_is_made(other: Profile) -> None:
    result = run(other, "aws-up")
    assert "pass --yes" in str(result.exception)
    assert Stack(other).resources() == []


def test_what_was_made_is_private_encrypted_on_demand_and_asks_for_the_key(deployed: Profile) -> None:
    s3, storage = client(deployed, "s3"), deployed.storage
    for bucket in (storage.bucket, storage.dag_bucket):
        blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert set(blocked.values()) == {True}
        assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    kinesis = client(deployed, "kinesis")
    for stream in deployed.streams:
        summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        assert summary["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
        assert summary["StreamARN"].startswith(f"arn:aws:kinesis:{REGION}:{ACCOUNT}:")
    assert len(client(deployed, "logs").describe_log_groups()["logGroups"]) == 1
    resources = client(deployed, "apigateway").get_resources(restApiId="pinflow", embed=["methods"])["items"]
    methods = [(verb, m) for item in resources for verb, m in item.get("resourceMethods", {}).items()]
    assert {verb: method["apiKeyRequired"] for verb, method in methods} == {
        "ANY": True, "GET": True, "POST": True, "PUT": True, "DELETE": True, "OPTIONS": False,
    }  # fmt: skip


def test_what_is_made_already_needs_no_change_and_repeating_says_so(deployed: Profile) -> None:
    result = run(deployed, "aws-plan")
    assert "nothing to change" in result.output
    again = run(deployed, "aws-up", "--yes")
    assert again.exit_code == 0
    assert "InvokeUrl" in again.output
    assert API_KEY not in result.output + again.output


def test_another_rest_proxy_is_a_changed_api_and_a_new_deployment(deployed: Profile) -> None:
    moved = deployed.rest_proxy.model_copy(update={"url": "http://ec2-9-9-9-9.example:8082"})
    changes = Stack(deployed.model_copy(update={"rest_proxy": moved})).plan()
    actions = {re.sub("Deployment.+", "Deployment", change.resource): change.action for change in changes}
    assert actions["Api"] == "Modify"
    assert "ApiDeployment" in actions
    assert {change.action for change in changes if change.resource.startswith("ApiDeployment")} == {"Add", "Remove"}
    assert not {"Bucket", "DagBucket", "PinStream", "KinesisRole"} & set(actions)


def test_a_stack_of_this_machine_is_left_to_its_localstack() -> None:
    result = run(load("local"), "aws-plan")
    assert "by itself at every start" in str(result.exception)


def test_what_is_said_to_stay_is_what_the_template_retains() -> None:
    retained = {name for name, one in RESOURCES.items() if one.get("DeletionPolicy", "").startswith("Retain")}
    said = {name for name, one in RESOURCES.items() if stacks.Resource(name, one["Type"], "").stays}
    assert said == retained
    assert {RESOURCES[name]["Type"] for name in retained} == {*STAYS, "AWS::IAM::Role"}


# --- LocalStack changes and deletes stacks in its own way; so here its answers are AWS's own form, set beforehand -----


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Stubs:
    made = Stubs()
    monkeypatch.setattr(stacks, "client", made.client)
    monkeypatch.setattr(stacks, "_POLL", 0.0)
    monkeypatch.setattr("foundation.aws.account", lambda profile: ACCOUNT)
    return made


def status(stubs: Stubs, value: str | None) -> None:
    cloudformation = stubs.of("cloudformation")
    if value is None:
        cloudformation.add_client_error("describe_stacks", "ValidationError", f"Stack with id {NAME} does not exist")
        return
    stack = {"StackName": NAME, "StackId": STACK_ID, "StackStatus": value, "CreationTime": datetime.now(UTC)}
    cloudformation.add_response("describe_stacks", {"Stacks": [stack]})


def events(stubs: Stubs, *told: tuple[str, str, str, str], more: bool = False) -> None:
    """A page, newest first, as AWS gives them: id, status, resource, reason; whether an older page follows."""
    following = {"NextToken": "older"} if more else {}
    stubs.of("cloudformation").add_response("describe_stack_events", {"StackEvents": [
        {"StackId": STACK_ID, "EventId": number, "StackName": NAME, "LogicalResourceId": resource,
         "ResourceType": "AWS::X::Y", "ResourceStatus": state, "ResourceStatusReason": reason,
         "Timestamp": datetime(2026, 1, 1, 0, 0, int(number), tzinfo=UTC)}
        for number, state, resource, reason in reversed(told)
    ], **following})  # fmt: skip


def there(
    stubs: Stubs,
    buckets: tuple[int, ...] = (200, 200),
    streams: tuple[str | None, ...] = ("ACTIVE", "ACTIVE", "ACTIVE"),
    owner: Any = ANY,
) -> None:
    """What HEAD answers of the buckets and the statuses of the streams; None: not there."""
    stubs.of("sts").add_response("get_caller_identity", {"Account": ACCOUNT})
    stubs.of("apigateway").add_response("get_account", {})
    for code in buckets:
        asked = {"Bucket": ANY, "ExpectedBucketOwner": owner}
        if code == 200:
            stubs.of("s3").add_response("head_bucket", {"BucketRegion": REGION}, asked)
        else:
            stubs.of("s3").add_client_error("head_bucket", str(code), http_status_code=code, expected_params=asked)
    kinesis = stubs.of("kinesis")
    for state in streams:
        if state is None:
            kinesis.add_client_error("describe_stream_summary", "ResourceNotFoundException")
        else:
            summary = stream(state, OpenShardCount=4)
            kinesis.add_response("describe_stream_summary", {"StreamDescriptionSummary": summary})


def stream(state: str, **more: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"StreamName": "s", "StreamARN": "arn:aws:kinesis:us-east-1:1:stream/s"}
    about |= {"RetentionPeriodHours": 24, "StreamCreationTimestamp": datetime.now(UTC), "EnhancedMonitoring": []}
    return about | {"StreamStatus": state} | more


OLD = ("1", "CREATE_COMPLETE", "Old", "")
UNCHANGED = "The submitted information didn't contain changes. Submit different information to create a change set."


def test_down_says_what_goes_and_stays_and_each_event(stubs: Stubs, other: Profile) -> None:
    cloudformation = stubs.of("cloudformation")
    status(stubs, "CREATE_COMPLETE")
    now = datetime.now(UTC)
    cloudformation.add_response("list_stack_resources", {"StackResourceSummaries": [
        {"LogicalResourceId": name, "ResourceType": kind, "PhysicalResourceId": f"the-{name}",
         "ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": now}
        for name, kind in (("Bucket", "AWS::S3::Bucket"), ("Api", "AWS::ApiGateway::RestApi"))
    ]})  # fmt: skip
    status(stubs, "CREATE_COMPLETE")
    events(stubs, OLD)
    cloudformation.add_response("delete_stack", {})
    status(stubs, "DELETE_IN_PROGRESS")
    events(stubs, OLD)
    status(stubs, "DELETE_COMPLETE")
    events(stubs, ("3", "DELETE_COMPLETE", "Api", ""), more=True)
    events(stubs, OLD, ("2", "DELETE_SKIPPED", "Bucket", ""))
    result = run(other, "aws-down", "--yes")
    assert result.exit_code == 0, result.exception
    assert re.search(r"keep +AWS::S3::Bucket +Bucket \(the-Bucket\)", result.output)
    assert re.search(r"delete +AWS::ApiGateway::RestApi +Api", result.output)
    told = [line.split()[1] for line in result.output.splitlines() if line.startswith("00:00:")]
    assert told == ["DELETE_SKIPPED", "DELETE_COMPLETE"]


@pytest.mark.parametrize("answer", ["n", None])
def test_down_without_a_yes_takes_nothing_away(
    deployed: Profile, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    if answer:
        monkeypatch.setattr("pinflow.cloudformation.commands.confirmed", lambda question: False)
    result = run(deployed, "aws-down", "--delete", "bucket")
    assert result.exit_code == 1
    assert f"s3://user-{UID}-bucket" in result.output
    assert len(Stack(deployed).resources()) > 8


def test_a_resource_that_could_not_be_made_is_named_with_its_reason(stubs: Stubs, other: Profile) -> None:
    cloudformation = stubs.of("cloudformation")
    status(stubs, "CREATE_COMPLETE")  # never made?
    status(stubs, "CREATE_COMPLETE")  # in progress?
    status(stubs, "CREATE_COMPLETE")  # with which parameters?
    there(stubs, streams=(None, None, None))
    cloudformation.add_response("create_change_set", {"Id": "arn:aws:cloudformation:x", "StackId": STACK_ID})
    change = {"Action": "Modify", "LogicalResourceId": "Api", "ResourceType": "AWS::ApiGateway::RestApi"}
    cloudformation.add_response("describe_change_set", {"Status": "CREATE_IN_PROGRESS"})
    cloudformation.add_response(
        "describe_change_set",
        {"Status": "CREATE_COMPLETE", "Changes": [{"Type": "Resource", "ResourceChange": change}]},
    )
    for _ in range(3):
        stubs.of("kinesis").add_client_error("describe_stream", "ResourceNotFoundException")
    events(stubs, OLD)
    cloudformation.add_response("execute_change_set", {})
    failed = (("2", "UPDATE_FAILED", "Api", "no such role"), ("3", "UPDATE_FAILED", "Stage", "cancelled"))
    status(stubs, "UPDATE_ROLLBACK_COMPLETE")
    events(stubs, OLD, *failed)
    events(stubs, OLD, *failed)
    cloudformation.add_client_error("delete_change_set", "ChangeSetNotFound")
    status(stubs, "UPDATE_ROLLBACK_COMPLETE")
    result = run(other, "aws-up", "--yes")
    assert "Api (AWS::X::Y): UPDATE_FAILED: no such role" in str(result.exception)
    assert "make aws-up again" in str(result.exception)


def test_a_stack_that_was_never_made_is_named_by_the_plan(stubs: Stubs, other: Profile) -> None:
    status(stubs, "ROLLBACK_COMPLETE")
    with pytest.raises(PinflowError, match="it was never created completely"):
        Stack(other).plan()


def test_a_template_without_changes_is_an_empty_plan(stubs: Stubs, other: Profile) -> None:
    cloudformation = stubs.of("cloudformation")
    status(stubs, "UPDATE_COMPLETE")
    status(stubs, "UPDATE_COMPLETE")
    there(stubs)
    cloudformation.add_response("create_change_set", {"Id": "arn:aws:cloudformation:x", "StackId": STACK_ID})
    cloudformation.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": UNCHANGED})
    cloudformation.add_response("delete_change_set", {})
    status(stubs, "UPDATE_COMPLETE")
    assert Stack(other).plan() == []


# --- what is there already --------------------------------------------------------------------------------------------


@pytest.fixture
def filled_in(as_person: pytest.MonkeyPatch, tmp_path: Path) -> Profile:
    return write_profile(tmp_path / "stubs.yaml", "http://127.0.0.1:9")


def planned(
    stubs: Stubs, before: dict[str, str] | None, values: dict[str, str] | None = None, **creations: bool
) -> None:
    """A change set that changes nothing, of no stack or one with these parameters; these must be in it."""
    cloudformation = stubs.of("cloudformation")
    stack: Any = {"StackName": NAME, "StackId": STACK_ID, "StackStatus": "CREATE_COMPLETE"}
    stack |= {"CreationTime": datetime.now(UTC)}
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in (before or {}).items()]
    status(stubs, None if before is None else "CREATE_COMPLETE")
    if before is not None:
        cloudformation.add_response("describe_stacks", {"Stacks": [stack | {"Parameters": parameters}]})
    wanted = {name: str(value).lower() for name, value in creations.items()} | (values or {})
    answer = {"Id": "arn:aws:cloudformation:x", "StackId": STACK_ID}
    cloudformation.add_response("create_change_set", answer, dict.fromkeys(
        ("StackName", "ChangeSetName", "ChangeSetType", "TemplateBody", "Capabilities"), ANY
    ) | {"Parameters": Containing(wanted)})  # fmt: skip
    cloudformation.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": UNCHANGED})
    cloudformation.add_response("delete_change_set", {})
    status(stubs, None if before is None else "CREATE_COMPLETE")


class Containing:
    """Equal to parameters that have at least these values."""

    def __init__(self, wanted: dict[str, str]) -> None:
        self.wanted = wanted

    def __eq__(self, given: object) -> bool:
        assert isinstance(given, list)
        found = {one["ParameterKey"]: one.get("ParameterValue") for one in given}
        assert {key: found.get(key) for key in self.wanted} == self.wanted
        return True


def test_a_bucket_is_asked_for_as_this_account_s_own(stubs: Stubs, filled_in: Profile) -> None:
    there(stubs, owner=ACCOUNT)
    planned(stubs, None, CreateBucket=False, CreateDagBucket=False)
    assert Stack(filled_in).plan() == []


@pytest.mark.parametrize(("status_code", "why"), [(403, f"not of account {ACCOUNT}"), (301, "in another region")])
def test_a_bucket_of_somebody_else_is_refused(stubs: Stubs, filled_in: Profile, status_code: int, why: str) -> None:
    there(stubs, buckets=(200, status_code))
    status(stubs, None)
    with pytest.raises(PinflowError) as raised:
        Stack(filled_in).plan()
    assert f"s3://{filled_in.storage.dag_bucket} is {why}" in raised.value.what
    assert "choose another storage.dag_bucket" in raised.value.fix


def test_a_bucket_of_another_region_is_refused_where_boto3_found_it(stubs: Stubs, filled_in: Profile) -> None:
    there(stubs, buckets=())
    stubs.of("s3").add_response("head_bucket", {"BucketRegion": "us-west-2"})
    status(stubs, None)
    with pytest.raises(PinflowError, match=f"us-west-2, and aws.region is {REGION}"):
        Stack(filled_in).plan()


def test_a_bucket_that_the_stack_made_stays_its_own_and_another_name_is_decided_anew(
    stubs: Stubs, filled_in: Profile
) -> None:
    storage = filled_in.storage
    before = {"CreateBucket": "true", "BucketName": storage.bucket, "CreateDagBucket": "false", "DagBucketName": "old"}
    there(stubs, buckets=(404,))  # the first is not even looked for
    planned(stubs, before, CreateBucket=True, CreateDagBucket=True)
    Stack(filled_in).plan()
    before = {"CreateBucket": "true", "BucketName": "old", "CreateDagBucket": "true", "DagBucketName": "old"}
    there(stubs, buckets=(200, 404))
    planned(stubs, before, CreateBucket=False, CreateDagBucket=True)
    Stack(filled_in).plan()


@pytest.mark.parametrize(
    ("own", "streams", "creates", "made"),
    [
        (None, (None, None, None), True, []),
        (None, ("DELETING", "DELETING", None), True, []),
        (None, ("ACTIVE", "ACTIVE", "DELETING"), False, ["user"]),
        ("false", ("ACTIVE", None, "ACTIVE"), False, ["geo"]),
        ("false", (None, None, None), True, []),
        ("true", ("ACTIVE", "ACTIVE", "ACTIVE"), True, []),
        ("true", (None, None, None), True, ["pin", "geo", "user"]),
    ],
    ids=["none", "all go", "one goes", "one of others", "all of others", "its own", "its own, all deleted by hand"],
)
def test_streams_that_are_missing_are_made_by_the_stack_or_beside_it(
    stubs: Stubs, filled_in: Profile, own: str | None, streams: tuple[str | None, ...], creates: bool, made: list[str]
) -> None:
    there(stubs, streams=streams)
    planned(stubs, None if own is None else {"CreateStreams": own, "UserId": UID}, CreateStreams=creates)
    changes = Stack(filled_in).plan()
    assert [(change.action, change.resource) for change in changes] == [("Add", f"streaming-{UID}-{n}") for n in made]


def test_a_stream_is_made_once_its_predecessor_is_gone(stubs: Stubs, filled_in: Profile) -> None:
    kinesis, name = stubs.of("kinesis"), f"streaming-{UID}-user"
    status(stubs, "CREATE_COMPLETE")
    there(stubs, streams=("ACTIVE", "ACTIVE", "DELETING"))
    planned(stubs, {"CreateStreams": "false", "UserId": UID}, CreateStreams=False)
    kinesis.add_response("describe_stream", {"StreamDescription": stream("DELETING", Shards=[], HasMoreShards=False)})
    kinesis.add_client_error("describe_stream", "ResourceNotFoundException")
    kinesis.add_response("create_stream", {}, {"StreamName": name, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})
    kinesis.add_response("describe_stream", {"StreamDescription": stream("ACTIVE", Shards=[], HasMoreShards=False)})
    status(stubs, "CREATE_COMPLETE")
    said: list[str] = []
    assert Stack(filled_in).up(lambda changes: [c.resource for c in changes] == [name], said.append) == {}
    assert said == [f"stream {name}: created"]
    kinesis.assert_no_pending_responses()


def test_a_stream_made_beside_the_stack_has_the_profiles_shards(stubs: Stubs, filled_in: Profile) -> None:
    sized = filled_in.model_copy(update={"kinesis": Kinesis(shards=29)})
    kinesis, name = stubs.of("kinesis"), f"streaming-{UID}-user"
    status(stubs, "CREATE_COMPLETE")
    there(stubs, streams=("ACTIVE", "ACTIVE", None))
    planned(stubs, {"CreateStreams": "false", "UserId": UID}, {"ShardCount": "29"}, CreateStreams=False)
    kinesis.add_client_error("describe_stream", "ResourceNotFoundException")
    mode = {"StreamModeDetails": {"StreamMode": "PROVISIONED"}, "ShardCount": 29}
    kinesis.add_response("create_stream", {}, {"StreamName": name, **mode})
    kinesis.add_response("describe_stream", {"StreamDescription": stream("ACTIVE", Shards=[], HasMoreShards=False)})
    status(stubs, "CREATE_COMPLETE")
    assert Stack(sized).up(lambda changes: True, lambda text: None) == {}
    kinesis.assert_no_pending_responses()


def test_topics_are_made_by_the_stack_where_the_profile_names_the_cluster(stubs: Stubs, filled_in: Profile) -> None:
    arn = f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/posts/1"
    kafka = filled_in.kafka.model_copy(update={"cluster_arn": arn, "partitions": 9})
    there(stubs)
    planned(stubs, None, {"MskClusterArn": arn, "PartitionCount": "9"})
    assert Stack(filled_in.model_copy(update={"kafka": kafka})).plan() == []


def test_streams_are_deleted_once_they_are_gone(stubs: Stubs, filled_in: Profile) -> None:
    kinesis = stubs.of("kinesis")
    there(stubs, streams=("ACTIVE", "DELETING", None))
    name = f"streaming-{UID}-pin"
    kinesis.add_response("delete_stream", {}, {"StreamName": name, "EnforceConsumerDeletion": True})
    kinesis.add_response("describe_stream", {"StreamDescription": stream("DELETING", Shards=[], HasMoreShards=False)})
    for _ in range(3):
        kinesis.add_client_error("describe_stream", "ResourceNotFoundException")
    said: list[str] = []
    Stack(filled_in).delete_data("streams", said.append)
    assert [line.rpartition(": ")[2] for line in said] == ["deleted", "does not exist", "does not exist"]
    kinesis.assert_no_pending_responses()


def test_data_goes_only_when_it_is_named(moto: str, as_person: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = write_profile(tmp_path / "moto.yaml", moto)
    s3, kinesis = client(profile, "s3"), client(profile, "kinesis")
    for bucket in (profile.storage.bucket, profile.storage.dag_bucket):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=PLACE)
    s3.put_bucket_versioning(Bucket=profile.storage.dag_bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=profile.storage.dag_bucket, Key="dags/x.py", Body=body)
    s3.delete_object(Bucket=profile.storage.dag_bucket, Key="dags/x.py")
    for stream in profile.streams[:2]:
        kinesis.create_stream(StreamName=stream, ShardCount=1)
    said: list[str] = []
    stack = Stack(profile)
    stack.delete_data("dag-bucket", said.append)
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == [profile.storage.bucket]
    assert set(kinesis.list_streams()["StreamNames"]) == set(profile.streams[:2])
    stack.delete_data("streams", said.append)
    stack.delete_data("bucket", said.append)
    stack.delete_data("bucket", said.append)
    assert said == [
        f"s3://{profile.storage.dag_bucket}: deleted, with 3 objects and versions",
        *(f"stream {stream}: deleted" for stream in profile.streams[:2]),
        f"stream {profile.streams[2]}: does not exist",
        f"s3://{profile.storage.bucket}: deleted, with 0 objects and versions",
        f"s3://{profile.storage.bucket}: does not exist",
    ]
    assert s3.list_buckets()["Buckets"] == []
