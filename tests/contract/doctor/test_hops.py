"""Every other hop: database, Kafka's side, AWS's side, Databricks, Airflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymysql
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from sqlalchemy.exc import OperationalError

from foundation.mwaa import AirflowError
from foundation.profile import load
from pinflow import doctor
from pinflow.doctor import airflow, api, aws, database, databricks, kafka
from pinflow.doctor.finding import Finding
from tests.contract.doctor.conftest import UID, FarEnd, Make, Stubs
from tests.contract.emulator.database import COLUMNS, create

ROLE = "arn:aws:iam::123456789012:role/msk"
STATUS = f"/connectors/user-{UID}-s3-sink/status"
TOPICS = [f"{UID}.{table}" for table in ("pin", "geo", "user")]


def shown(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.state, finding.found, finding.fix) for finding in findings]


# --- database ---------------------------------------------------------------------------------------------------------


def test_tables_with_rows_are_well(make: Make, tmp_path: Path) -> None:
    create(tmp_path / "posts.db", range(3))
    assert shown(database.source(make())) == [("ok", "3 rows", "")] * 3


def test_an_empty_table_is_named(make: Make, tmp_path: Path) -> None:
    create(tmp_path / "posts.db", range(0))
    assert {finding.found for finding in database.source(make())} == {"no rows"}


def test_a_missing_table_is_named(make: Make, tmp_path: Path) -> None:
    create(tmp_path / "posts.db", range(3), {name: c for name, c in COLUMNS.items() if name != "user_data"})
    first, second, third = database.source(make())
    assert (first.state, second.state, third.state) == ("ok", "ok", "failed")
    assert "user_data" in third.tried


@pytest.mark.parametrize(
    ("code", "fix"),
    [(1045, "its password"), (1049, "does not exist there"), (2003, "security group"), (1146, "load the dump")],
)
def test_a_database_that_refuses_says_why(make: Make, monkeypatch: pytest.MonkeyPatch, code: int, fix: str) -> None:
    class Engine:
        def connect(self) -> None:
            raise OperationalError("connect", None, pymysql.err.OperationalError(code, "as MySQL says it"))

    monkeypatch.setattr("pinflow.doctor.database.create_engine", lambda *args, **options: Engine())
    (finding,) = database.source(make())
    assert (finding.state, finding.found) == ("failed", "as MySQL says it")
    assert fix in finding.fix


# --- Kafka ------------------------------------------------------------------------------------------------------------


def test_a_rest_proxy_with_its_topics_is_well(make: Make, far_end: FarEnd) -> None:
    far_end.answer("GET", "/topics", 200, TOPICS)
    proxy, *topics = (*kafka.rest_proxy(make()), *kafka.topics(make()))
    assert {finding.state for finding in (proxy, *topics)} == {"ok"}
    assert "may write a record twice; the cleaned tables keep one row per ind" in proxy.found


def test_a_topic_that_is_missing_is_named(make: Make, far_end: FarEnd) -> None:
    far_end.answer("GET", "/topics", 200, TOPICS[:2])
    *others, finding = kafka.topics(make())
    assert {other.state for other in others} == {"ok"}
    assert (finding.state, finding.found.partition(";")[0]) == ("failed", f"{TOPICS[2]} does not exist")
    assert "blocks a batch to it for producer.max.block.ms per record" in finding.found
    assert "make client-config" in finding.fix


@pytest.mark.parametrize(("end", "states"), [(7, ["ok"] * 3 + ["warning"]), (2, ["ok"] * 3)])
def test_dead_letters_are_a_trap_for_json_consumers(make: Make, far_end: FarEnd, end: int, states: list[str]) -> None:
    letters = f"/topics/dlq-{UID}/partitions"
    far_end.answer("GET", "/topics", 200, [*TOPICS, f"dlq-{UID}"])
    far_end.answer("GET", letters, 200, [{"partition": 0}, {"partition": 1}])
    far_end.answer("GET", f"{letters}/0/offsets", 200, {"beginning_offset": 2, "end_offset": end})
    far_end.answer("GET", f"{letters}/1/offsets", 200, {"beginning_offset": 0, "end_offset": 0})
    findings = kafka.topics(make())
    assert [finding.state for finding in findings] == states
    if end == 7:
        assert findings[-1].found.startswith("5 dead letters")
        assert "40801" in findings[-1].found
        assert "format binary" in findings[-1].fix


@pytest.mark.parametrize(("status", "body"), [(404, {"error_code": 40401}), (200, "<html>"), (500, "")])
def test_dead_letters_that_cannot_be_counted_are_no_trap(make: Make, far_end: FarEnd, status: int, body: Any) -> None:
    far_end.answer("GET", "/topics", 200, [*TOPICS, f"dlq-{UID}"])
    far_end.answer("GET", f"/topics/dlq-{UID}", status, body)
    assert {finding.state for finding in kafka.topics(make())} == {"ok"}


def test_a_closed_port_is_named_and_the_topics_stay_unknown(make: Make) -> None:
    profile = make(rest_proxy__url="http://127.0.0.1:9")
    (finding,) = kafka.rest_proxy(profile)
    assert "port 8082 open" in finding.fix
    assert [finding.state for finding in kafka.topics(profile)] == ["unknown"]


def test_a_name_that_does_not_resolve_is_ec2s_new_dns(make: Make) -> None:
    (finding,) = kafka.rest_proxy(make(rest_proxy__url="http://ec2-0-0-0-0.invalid:8082"))
    assert "EC2's public DNS changes" in finding.fix


def test_https_to_the_rest_proxy_is_named(make: Make, far_end: FarEnd) -> None:
    (finding,) = kafka.rest_proxy(make(rest_proxy__url=f"https://127.0.0.1:{far_end.port}"))
    assert "serves http" in finding.fix


@pytest.mark.parametrize("body", ["<html>It works!</html>", {"not": "a list"}], ids=["a page", "an object"])
def test_something_else_at_the_rest_proxy_s_address_is_named(make: Make, far_end: FarEnd, body: Any) -> None:
    far_end.answer("GET", "/topics", 200, body)
    (finding,) = kafka.rest_proxy(make())
    assert (finding.state, finding.found[:22]) == ("failed", "not a list of topics: ")
    assert "rest_proxy.url" in finding.fix
    assert [finding.state for finding in kafka.topics(make())] == ["unknown"]


def test_a_rest_proxy_without_brokers_is_named(make: Make, far_end: FarEnd) -> None:
    far_end.answer("GET", "/topics", 500, {"error_code": 50003})
    (finding,) = kafka.rest_proxy(make())
    assert "does not reach MSK" in finding.fix
    assert [finding.state for finding in kafka.topics(make())] == ["unknown"]


@pytest.mark.parametrize(
    ("principal", "state"),
    [
        ({"AWS": [ROLE, "arn:aws:iam::1:root"]}, "ok"),
        ({"AWS": ROLE}, "ok"),
        ({"AWS": "*"}, "ok"),
        ("*", "ok"),
        ({"AWS": "arn:aws:iam::123456789012:root"}, "failed"),
        ({"Service": "ec2.amazonaws.com"}, "failed"),
    ],
)
@pytest.mark.parametrize("several", [True, False], ids=["a list of statements", "one statement"])
def test_the_msk_role_must_trust_itself(make: Make, stubs: Stubs, principal: Any, state: str, several: bool) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    policy = {"Statement": [statement] if several else statement}
    role = {"Path": "/", "RoleName": "msk", "RoleId": "A" * 16, "Arn": ROLE, "CreateDate": datetime.now(UTC)}
    # boto3 decodes the document; its description calls it a text.
    stubs.client(make(), "iam").get_role = lambda RoleName: {"Role": {**role, "AssumeRolePolicyDocument": policy}}
    (finding,) = kafka.role(make(kafka__role_arn=ROLE))
    assert finding.state == state
    assert ("Trust relationships" in finding.fix) == (state == "failed")


@pytest.mark.parametrize(("code", "state"), [("NoSuchEntity", "failed"), ("AccessDenied", "unknown")])
def test_a_role_that_cannot_be_read(make: Make, stubs: Stubs, code: str, state: str) -> None:
    stubs.of("iam").add_client_error("get_role", code)
    assert [finding.state for finding in kafka.role(make(kafka__role_arn=ROLE))] == [state]


def test_a_role_is_not_judged_where_nobody_answers(make: Make, stubs: Stubs) -> None:
    def away(RoleName: str) -> None:
        raise EndpointConnectionError(endpoint_url="https://iam.amazonaws.com")

    stubs.client(make(), "iam").get_role = away
    assert [finding.state for finding in kafka.role(make(kafka__role_arn=ROLE))] == ["unknown"]


def test_a_worker_of_this_machine_that_is_away_is_started_here() -> None:
    profile = load("local")
    away = profile.connect.model_copy(update={"url": "http://127.0.0.1:9"})
    (finding,) = kafka.connector(profile.model_copy(update={"connect": away}))
    assert "make up starts it, make logs S=connect" in finding.fix


@pytest.mark.parametrize(
    ("status", "body", "found", "fix"),
    [
        (200, {"connector": {"state": "RUNNING"}, "tasks": [{"state": "RUNNING"}]}, "RUNNING, 1 tasks", ""),
        (200, {"connector": {"state": "RUNNING"}, "tasks": [{"state": "FAILED", "trace": "NoSuchBucket\n\tat x"}]},
         "FAILED: NoSuchBucket", "restart?includeTasks=true"),
        (200, {"connector": {"state": "PAUSED"}, "tasks": [{"state": "PAUSED"}]}, "PAUSED, 1 tasks", "/resume"),
        (404, {"message": "no such connector"}, "HTTP 404", "create the connector"),
        (200, "<html>It works!</html>", "not a connector's state: <html>", "connect.url"),
        (200, [], "not a connector's state: []", "connect.url"),
    ],
)  # fmt: skip
def test_a_connectors_state(make: Make, far_end: FarEnd, status: int, body: Any, found: str, fix: str) -> None:
    far_end.answer("GET", STATUS, status, body)
    (finding,) = kafka.connector(make())
    assert finding.state == ("failed" if fix else "ok")
    assert finding.found.startswith(found)
    assert fix in finding.fix


@pytest.mark.parametrize(("state", "fix"), [("RUNNING", ""), ("FAILED", "CloudWatch"), (None, "make deploy")])
def test_msk_connect_is_asked_where_connect_has_no_rest_api(
    make: Make, stubs: Stubs, state: str | None, fix: str
) -> None:
    connector = {"connectorName": f"user-{UID}-s3-sink", "connectorState": state}
    stubs.of("kafkaconnect").add_response("list_connectors", {"connectors": [connector] if state else []})
    (finding,) = kafka.connector(make(connect__url="http://127.0.0.1:9"))
    assert finding.state == ("failed" if fix else "ok")
    assert fix in finding.fix


def test_the_connector_is_found_on_msk_connect_s_second_page(make: Make, stubs: Stubs) -> None:
    pages = [{"connectorName": f"user-{UID}-s3-sink{more}", "connectorState": "RUNNING"} for more in ("-of-old", "")]
    listed = stubs.of("kafkaconnect")
    listed.add_response("list_connectors", {"connectors": pages[:1], "nextToken": "second"})
    listed.add_response("list_connectors", {"connectors": pages[1:]})
    (finding,) = kafka.connector(make(connect__url="http://127.0.0.1:9"))
    assert finding.state == "ok"


def test_msk_connect_is_asked_at_once_where_the_profile_names_it(make: Make, stubs: Stubs) -> None:
    msk = {"plugin": "p", "worker_configuration": None, "role_arn": ROLE, "subnets": "s", "security_groups": "g"}
    stubs.of("kafkaconnect").add_client_error("list_connectors", "ForbiddenException")
    (finding,) = kafka.connector(make(connect__msk=msk))
    assert (finding.state, finding.fix) == ("unknown", "kafkaconnect:ListConnectors would show it")


# --- AWS --------------------------------------------------------------------------------------------------------------


def test_the_account_is_said(make: Make, stubs: Stubs) -> None:
    stubs.of("sts").add_response("get_caller_identity", {"Account": "123456789012", "Arn": "arn:aws:iam::1:user/me"})
    (finding,) = aws.identity(make())
    assert (finding.state, finding.found) == ("ok", "account 123456789012, arn:aws:iam::1:user/me")


def test_expired_credentials_are_named(make: Make, stubs: Stubs) -> None:
    stubs.of("sts").add_client_error("get_caller_identity", "ExpiredToken")
    (finding,) = aws.identity(make())
    assert "aws sso login" in finding.fix


def test_a_profile_of_aws_own_that_is_not_there_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    (finding,) = aws.identity(make(aws__access_key_id=None, aws__secret_access_key=None))
    assert (finding.state, "nobody" in finding.found, "keys from nowhere" in finding.tried) == ("failed", True, True)


@pytest.mark.parametrize(
    "hop",
    [api.resources, aws.identity, aws.bucket, aws.streams, kafka.role, kafka.connector, airflow.environment],
    ids=["resources", "identity", "bucket", "streams", "role", "connector", "environment"],
)
def test_such_a_profile_is_no_defect_of_the_doctor(make: Make, monkeypatch: pytest.MonkeyPatch, hop: Any) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setattr(doctor, "HOPS", {"hop": hop})
    msk = {"plugin": "p", "worker_configuration": None, "role_arn": ROLE, "subnets": "s", "security_groups": "g"}
    (finding,) = doctor.walk(make(kafka__role_arn=ROLE, connect__msk=msk))
    assert (finding.state, "The config profile (nobody) could not be found" in finding.found) == ("failed", True)
    assert "AWS_PROFILE" in finding.fix


def test_no_credentials_at_all_are_named(make: Make, stubs: Stubs) -> None:
    def nobody() -> None:
        raise NoCredentialsError

    stubs.client(make(), "sts").get_caller_identity = nobody
    (finding,) = aws.identity(make())
    assert finding.fix.startswith("aws configure")


@pytest.mark.parametrize(
    ("status", "fix"), [(404, "no such bucket"), (403, "belongs to another account"), (301, "not in aws.region")]
)
def test_a_bucket_that_cannot_be_used_is_named(make: Make, stubs: Stubs, status: int, fix: str) -> None:
    stubs.of("s3").add_client_error("head_bucket", str(status), http_status_code=status)
    (finding,) = aws.bucket(make())
    assert fix in finding.fix


def test_the_newest_object_of_each_topic_is_told(make: Make, stubs: Stubs) -> None:
    s3, now = stubs.of("s3"), datetime.now(UTC)
    s3.add_response("head_bucket", {})
    objects = [{"Key": f"k{age}", "LastModified": now - timedelta(seconds=age)} for age in (900, 60, 300)]
    s3.add_response("list_objects_v2", {"Contents": objects, "IsTruncated": False})
    s3.add_response("list_objects_v2", {"IsTruncated": False})
    s3.add_client_error("list_objects_v2", "AccessDenied")
    first, second, third = aws.bucket(make())
    assert first.found.startswith("3 objects, the newest 6")
    assert (second.state, second.found) == ("unknown", "no object yet")
    assert (third.state, "s3:ListBucket" in third.fix) == ("failed", True)


def test_streams_that_are_missing_or_not_ready_are_named(make: Make, stubs: Stubs) -> None:
    kinesis = stubs.of("kinesis")
    known = {
        "StreamARN": "arn:aws:kinesis:us-east-1:1:stream/s",
        "StreamName": "s",
        "OpenShardCount": 4,
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": datetime.now(UTC),
        "EnhancedMonitoring": [],
    }
    kinesis.add_response("describe_stream_summary", {"StreamDescriptionSummary": {**known, "StreamStatus": "ACTIVE"}})
    kinesis.add_client_error("describe_stream_summary", "ResourceNotFoundException")
    kinesis.add_response("describe_stream_summary", {"StreamDescriptionSummary": {**known, "StreamStatus": "CREATING"}})
    first, second, third = aws.streams(make())
    assert (first.state, first.found) == ("ok", "ACTIVE, 4 shards")
    assert (second.state, "create it on demand" in second.fix) == ("failed", True)
    assert (third.state, third.fix) == ("failed", "wait until it is ACTIVE")


# --- Databricks and Airflow -------------------------------------------------------------------------------------------


def test_a_workspace_that_is_well(make: Make, far_end: FarEnd) -> None:
    far_end.answer("GET", "/.well-known/databricks-config", 200, {})
    far_end.answer("GET", "/api/2.0/preview/scim/v2/Me", 200, {"userName": "me@example.org"})
    far_end.answer("GET", "/api/2.1/clusters/get", 200, {"state": "RUNNING"})
    far_end.answer("GET", "/api/2.0/workspace/get-status", 200, {"path": "x", "object_type": "NOTEBOOK"})
    assert {finding.state for finding in databricks.workspace(make())} == {"ok"}


def test_a_wrong_token_a_missing_cluster_and_missing_notebooks_are_named(make: Make, far_end: FarEnd) -> None:
    far_end.answer("GET", "/.well-known/databricks-config", 200, {})
    far_end.answer("GET", "/api/2.0/preview/scim/v2/Me", 403, {"error_code": "403", "message": "Invalid access token."})
    (finding,) = databricks.workspace(make())
    assert "Access tokens" in finding.fix
    far_end.answer("GET", "/api/2.0/preview/scim/v2/Me", 200, {"userName": "me@example.org"})
    absent = {"error_code": "INVALID_PARAMETER_VALUE", "message": "Cluster x does not exist"}
    far_end.answer("GET", "/api/2.1/clusters/get", 400, absent)
    far_end.answer("GET", "/api/2.0/workspace/get-status", 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
    _, cluster, notebooks = databricks.workspace(make())
    assert (cluster.state, "ClusterId" in cluster.fix) == ("failed", True)
    assert (notebooks.state, notebooks.fix) == ("unknown", "make batch uploads them")


@pytest.mark.parametrize(
    ("state", "expected", "words"),
    [("TERMINATED", "ok", "the next run starts it"), ("ERROR", "failed", "ERROR"), ("UNKNOWN", "failed", "UNKNOWN")],
)
def test_a_clusters_state_and_notebooks_that_may_not_be_read(
    make: Make, far_end: FarEnd, state: str, expected: str, words: str
) -> None:
    far_end.answer("GET", "/.well-known/databricks-config", 200, {})
    far_end.answer("GET", "/api/2.0/preview/scim/v2/Me", 200, {"userName": "me@example.org"})
    far_end.answer("GET", "/api/2.1/clusters/get", 200, {"state": state})
    far_end.answer("GET", "/api/2.0/workspace/get-status", 403, {"error_code": "PERMISSION_DENIED", "message": "no"})
    _, cluster, notebooks = databricks.workspace(make())
    assert (cluster.state, words in cluster.found) == (expected, True)
    assert (notebooks.state, "may not read that folder" in notebooks.fix) == ("failed", True)


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("16.4.x-scala2.12", "failed"),
        ("15.4.x-cpu-ml-scala2.12", "failed"),
        ("17.3.x-scala2.13", "ok"),
        ("18.x-photon-scala2.13", "ok"),
        ("pinflow-spark-4.2", "ok"),
        ("custom:my-image", "ok"),
        (None, "ok"),
    ],
)
def test_a_cluster_with_an_older_spark_is_named(make: Make, far_end: FarEnd, version: str | None, state: str) -> None:
    far_end.answer("GET", "/.well-known/databricks-config", 200, {})
    far_end.answer("GET", "/api/2.0/preview/scim/v2/Me", 200, {"userName": "me@example.org"})
    far_end.answer("GET", "/api/2.1/clusters/get", 200, {"state": "RUNNING", "spark_version": version})
    far_end.answer("GET", "/api/2.0/workspace/get-status", 200, {"path": "x", "object_type": "NOTEBOOK"})
    _, cluster, _ = databricks.workspace(make())
    assert cluster.state == state
    if state == "failed":
        assert str(version) in cluster.found
        assert "Databricks Runtime 17" in cluster.fix


def test_a_workspace_that_is_not_there_is_named_within_seconds(make: Make) -> None:
    (finding,) = databricks.workspace(make(databricks__host="http://127.0.0.1:9"))
    assert "as the browser shows it" in finding.fix


@pytest.mark.parametrize(
    ("dags", "errors", "states"),
    [
        ({f"{UID}_dag": {"is_paused": False}}, [], ["ok"]),
        ({}, [], ["unknown"]),
        ({}, ["x.py: boom"], ["failed", "unknown"]),
    ],
)
def test_the_dag_and_what_could_not_be_imported(
    make: Make, monkeypatch: pytest.MonkeyPatch, dags: Any, errors: list[str], states: list[str]
) -> None:
    monkeypatch.setattr("foundation.mwaa.Mwaa.dags", lambda self: dags)
    monkeypatch.setattr("foundation.mwaa.Mwaa.import_errors", lambda self: errors)
    assert [finding.state for finding in airflow.environment(make())] == states


@pytest.mark.parametrize("hop", [databricks.workspace, airflow.environment])
def test_what_the_stack_leaves_out_is_no_failure(make: Make, hop: Any) -> None:
    profile = load("local")
    assert profile.stack is not None
    stack = profile.stack.model_copy(update={"services": ["kafka"]})
    (finding,) = hop(profile.model_copy(update={"stack": stack}))
    assert (finding.state, finding.found) == ("unknown", "not in stack.services")


def test_an_environment_that_does_not_answer_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Any) -> None:
        raise AirflowError("no such environment")

    monkeypatch.setattr("foundation.mwaa.Mwaa.dags", away)
    (finding,) = airflow.environment(make())
    assert "airflow.environment" in finding.fix
    assert json.dumps(finding.found) == '"no such environment"'
