"""What `make emulate-batch|emulate-stream|batch|status|doctor PROFILE=…` do at the far end, by the profile alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from kafka.net.sasl import get_sasl_mechanism
from pydantic import SecretStr

from foundation import kafka as broker
from foundation.aws import client
from foundation.profile import ROOT, Profile, load
from pinflow import account, doctor
from pinflow import kafka_tools as tools
from pinflow.cli import cli
from pinflow.doctor import api, aws, kafka
from tests.contract.aws.conftest import ACCOUNT, API_KEY, REGION, UID, write_profile
from tests.contract.emulator.database import create
from tests.contract.workspace.conftest import TOKEN, Service
from tests.servers.backends import Backend

SECRET = "c4nary-S3cret-of-the-account"


@pytest.fixture
def posting(deployed: Profile, as_person: pytest.MonkeyPatch, tmp_path: Path) -> Profile:
    """The deployed profile with 40 rows to post, and a secret that must not be seen."""
    as_person.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    database = create(tmp_path / "posts.db", range(40)).render_as_string()
    changed = {"api__invoke_url": deployed.api.invoke_url, "api__api_key": "${PINTEREST_API_KEY}"}
    return write_profile(
        tmp_path / "posting.yaml", str(deployed.aws.endpoint_url), rest_proxy__url=deployed.rest_proxy.url,
        api__authorization="iam", database__url=database, database__password=None, **changed,
    )  # fmt: skip


def emulate(profile: Profile, way: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emulator", way, "--json", "--order", "sequential", "--count", "40", *options]
    environment = {**os.environ, "PROFILE": str(profile.path)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


# --- posting ----------------------------------------------------------------------------------------------------------


def test_posts_leave_this_machine_only_after_a_yes(posting: Profile, backend: Backend) -> None:
    before = len(backend.seen)
    done = emulate(posting, "batch")
    assert done.returncode == 1
    for said in (f"account {ACCOUNT}", f"region  {REGION}", "40 posts", "pass --yes", posting.api.invoke_url):
        assert said in done.stderr
    assert len(backend.seen) == before


def test_batch_posts_arrive_at_the_rest_proxy_with_key_and_signature_and_no_secret_is_told(
    posting: Profile, backend: Backend
) -> None:
    backend.seen.clear()
    done = emulate(posting, "batch", "--yes")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 120
    posts = [seen for seen in backend.seen if seen.method == "POST"]
    topics = [f"/topics/{UID}.{table}" for table in ("pin", "geo", "user")]
    assert {seen.path: len(json.loads(seen.body)["records"]) for seen in posts} == dict.fromkeys(topics, 40)
    assert {seen.headers["content-type"] for seen in posts} == {"application/vnd.kafka.json.v2+json"}
    assert {(seen.method, seen.path) for seen in backend.seen[:3]} == {("GET", topic) for topic in topics}
    assert not [secret for secret in (SECRET, API_KEY) if secret in done.stdout + done.stderr]


def test_stream_posts_arrive_in_the_streams_of_that_account_and_region(posting: Profile) -> None:
    done = emulate(posting, "stream", "--yes")
    assert done.returncode == 0, done.stderr
    kinesis = client(posting, "kinesis")
    for stream in posting.streams:
        found = []
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
            iterator = kinesis.get_shard_iterator(
                StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            found += kinesis.get_records(ShardIterator=iterator)["Records"]
        assert len(found) == 40
    assert not [secret for secret in (SECRET, API_KEY) if secret in done.stdout + done.stderr]


def test_without_its_key_the_api_lets_nobody_in(posting: Profile) -> None:
    assert requests.get(f"{posting.api.invoke_url}/streams", timeout=10).status_code == 403


# --- the doctor -------------------------------------------------------------------------------------------------------


def test_the_doctor_finds_the_far_end_well(posting: Profile) -> None:
    checks = (aws.identity, api.routes, api.resources, aws.streams, kafka.rest_proxy, kafka.topics)
    findings = [finding for check in checks for finding in check(posting)]
    assert [finding for finding in findings if finding.state != "ok"] == []
    assert f"account {ACCOUNT}" in findings[0].found


def test_the_doctor_names_the_key_that_the_profile_lacks(posting: Profile) -> None:
    without = posting.model_copy(update={"api": posting.api.model_copy(update={"api_key": None})})
    fixes = [finding.fix for finding in (*api.routes(without), *api.resources(without)) if finding.state == "failed"]
    assert any("api.api_key" in fix for fix in fixes)


def test_an_authority_that_nobody_trusts_is_named(posting: Profile, as_person: pytest.MonkeyPatch) -> None:
    as_person.delenv("REQUESTS_CA_BUNDLE")
    as_person.delenv("AWS_CA_BUNDLE")
    (finding,) = api.routes(posting)
    assert "its certificate is not trusted" in finding.fix
    assert aws.identity(posting)[0].state == "failed"


def test_the_doctor_and_the_counts_read_another_implementation_as_well(
    moto: str, as_person: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path / "moto.yaml", moto)
    assert {finding.state for finding in aws.streams(profile)} == {"failed"}
    assert "no such bucket" in aws.bucket(profile)[0].fix
    s3, kinesis, place = client(profile, "s3"), client(profile, "kinesis"), {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=profile.storage.bucket, CreateBucketConfiguration=place)  # type: ignore[arg-type]
    for stream in profile.streams:
        kinesis.create_stream(StreamName=stream, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    for topic in profile.topics[:2]:
        s3.put_object(Bucket=profile.storage.bucket, Key=f"topics/{topic}/partition=0/{topic}+0+0.json", Body=b"{}\n")
    assert {finding.state for finding in (*aws.identity(profile), *aws.streams(profile))} == {"ok"}
    assert [finding.state for finding in aws.bucket(profile)] == ["ok", "ok", "unknown"]
    assert [len(objects) for objects in account.listed(profile).values()] == [1, 1, 0]


# --- the other commands -----------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "workspace")
    made.start()
    yield made
    made.stop()


def test_status_needs_no_stack_and_names_what_cannot_be_seen(
    posting: Profile, workspace: Service, as_person: pytest.MonkeyPatch
) -> None:
    as_person.setenv("DATABRICKS_TOKEN", TOKEN)
    as_person.setattr("pinflow.stream._progress", lambda workspace: [])  # it is in DBFS, which is the cluster's
    text = posting.path.read_text().replace("https://dbc-xxxxxxxx-xxxx.cloud.databricks.com", workspace.url)
    text = re.sub("bootstrap_servers: .*", "bootstrap_servers: 127.0.0.1:9", text)
    posting.path.write_text(text.replace("security: iam", "security: plaintext"))
    result = CliRunner().invoke(cli, ["--profile", str(posting.path), "status"])
    assert result.exit_code == 0, result.exception
    assert "nothing of this profile runs on this machine" in result.output
    assert "Kafka: 127.0.0.1:9" in result.output
    lines = [line.split() for line in result.output.splitlines() if line.strip()]
    assert [f"{UID}.pin", "40", "—", "—", "0", "—", "—", "—", "—", "—"] in lines
    assert [f"streaming-{UID}-pin", "stopped"] in [line[:2] for line in lines]


@pytest.mark.parametrize("command", ["up", "down", "logs"])
def test_what_only_makes_sense_here_says_so(deployed: Profile, command: str) -> None:
    result = CliRunner().invoke(cli, ["--profile", str(deployed.path), command])
    assert "nothing runs on this machine" in str(result.exception)


def test_a_workspace_that_is_not_there_is_said_soon(posting: Profile) -> None:
    text = posting.path.read_text().replace("https://dbc-xxxxxxxx-xxxx.cloud.databricks.com", "http://127.0.0.1:9")
    posting.path.write_text(text)
    began = time.monotonic()
    result = CliRunner().invoke(cli, ["--profile", str(posting.path), "stream"])
    assert "http://127.0.0.1:9: Connection refused" in str(result.exception)
    assert time.monotonic() - began < 60


ANSWERS: dict[str, Any] = {"rows": {"pin": 3}, "answers": {"q1": {"columns": ["country"], "rows": [["Albania"]]}}}


@pytest.mark.parametrize("given", ["environment", "databrickscfg"])
def test_batch_runs_on_the_workspace_that_databricks_own_settings_name(
    posting: Profile, workspace: Service, as_person: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    folder = tmp_path / "project" / "spark" / "notebooks"
    folder.mkdir(parents=True)
    (folder / "load.py").write_text("# Databricks notebook source\n# print loaded\n")
    (folder / "questions.py").write_text(f"# Databricks notebook source\n# exit {json.dumps(ANSWERS)}\n")
    as_person.setattr("foundation.databricks.ROOT", tmp_path / "project")
    as_person.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
    as_person.delenv("DATABRICKS_TOKEN")
    if given == "environment":
        as_person.setenv("DATABRICKS_HOST", workspace.url)
        as_person.setenv("DATABRICKS_TOKEN", TOKEN)
    else:
        (tmp_path / "databrickscfg").write_text(f"[DEFAULT]\nhost = {workspace.url}\ntoken = {TOKEN}\n")
    text = posting.path.read_text().replace("host: https://dbc-xxxxxxxx-xxxx.cloud.databricks.com", "host: null")
    posting.path.write_text(text)
    result = CliRunner().invoke(cli, ["--profile", str(posting.path), "batch"])
    assert result.exit_code == 0, result.exception
    assert "using what is in s3://" in result.output
    assert "Albania" in result.output
    assert TOKEN not in result.output


def test_kafka_python_signs_in_to_msk_with_the_keys_and_region_of_the_profile(
    deployed: Profile, as_person: pytest.MonkeyPatch
) -> None:
    as_person.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    first = first_message(deployed)
    assert first["action"] == "kafka-cluster:Connect"
    credential = first["x-amz-credential"]
    assert credential.startswith(f"{ACCOUNT}/")
    assert credential.endswith(f"/{REGION}/kafka-cluster/aws4_request")
    assert SECRET not in json.dumps(first)


def test_a_stale_token_in_the_environment_does_not_go_with_the_keys_of_the_profile(
    deployed: Profile, as_person: pytest.MonkeyPatch
) -> None:
    as_person.setenv("AWS_SESSION_TOKEN", "of yesterday")
    keys = {"access_key_id": SecretStr("AKIAOFTHEPROFILE"), "secret_access_key": SecretStr(SECRET)}
    before = dict(os.environ)
    first = first_message(deployed.model_copy(update={"aws": deployed.aws.model_copy(update=keys)}))
    assert first["x-amz-credential"].startswith("AKIAOFTHEPROFILE/")
    assert "x-amz-security-token" not in first
    assert dict(os.environ) == before


def first_message(profile: Profile) -> dict[str, Any]:
    """What kafka-python sends to sign in."""
    settings = broker.security(profile)
    assert settings == {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}
    mechanism = get_sasl_mechanism("AWS_MSK_IAM")(host="b-1.x.kafka.amazonaws.com", **settings)
    return dict(json.loads(mechanism.auth_bytes()))


def test_kafka_s_own_tools_ask_for_the_settings_that_iam_takes(
    deployed: Profile, as_person: pytest.MonkeyPatch
) -> None:
    as_person.setenv("PROFILE", str(deployed.path))
    with pytest.raises(Exception, match="requires IAM") as caught:
        tools.arguments("kafka-topics", ["--list"])
    assert "make client-config" in str(caught.value)


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_no_command_tells_a_secret(posting: Profile, as_person: pytest.MonkeyPatch, tmp_path: Path) -> None:
    canaries = {
        name: f"c4nary{number}abcdefghijklmnop"
        for number, name in enumerate(("PINTEREST_DB_PASSWORD", "PINTEREST_API_KEY", "DATABRICKS_TOKEN", "A_SCOPE_KEY"))
    }
    for name, value in canaries.items():
        as_person.setenv(name, value)
    text = posting.path.read_text().replace("secrets: {}", "secrets: {aws: {key: '${A_SCOPE_KEY}'}}")
    text = text.replace("password: null", "password: ${PINTEREST_DB_PASSWORD}")
    text = text.replace("https://dbc-xxxxxxxx-xxxx.cloud.databricks.com", "http://127.0.0.1:9")
    posting.path.write_text(text)
    as_person.setattr("pinflow.deploy.dags.check_imports", lambda profile: [])
    profile = load(str(posting.path))
    assert profile.databricks.secrets["aws"]["key"].get_secret_value() == canaries["A_SCOPE_KEY"]
    as_person.setattr(doctor, "HOPS", {name: hop for name, hop in doctor.HOPS.items() if name != "Airflow"})
    commands = (
        ["profile", "show"], ["where"], ["doctor"], ["aws-plan"], ["aws-down"],
        ["deploy", "--dry-run", "--only", "connector"], ["client-config", "--to", str(tmp_path / "files")],
    )  # fmt: skip
    told = ""
    for arguments in commands:
        result = CliRunner().invoke(cli, ["--profile", str(posting.path), *arguments])
        told += result.output + str(result.exception)
    told += "".join(file.read_text() for file in (tmp_path / "files").iterdir())
    assert len(told) > 5000
    assert [name for name, value in {**canaries, "secret": SECRET}.items() if value in told] == []
