"""The pipeline in containers, in short: every container healthy, posts through both paths, the same tables."""

from __future__ import annotations

import subprocess

import pymysql
import pytest

from foundation.profile import ROOT
from tests import containers, oracle
from tests.e2e.conftest import records_in_s3
from tests.servers.waiting import wait_for
from tests.stack import TestStack

POSTS = 60
SERVICES = ("mysql", "kafka", "rest_proxy", "localstack", "connect", "connector", "spark", "databricks", "airflow")
KINDS = ("pin", "geo", "user")


@pytest.fixture(scope="module")
def posted(stack: TestStack) -> TestStack:
    """The stack with posts on both paths, cleaned and in tables."""
    stack.pinflow("stream")
    summary = stack.emulate("--count", str(POSTS), "--rate", "max", "--order", "sequential", "--to", "batch,stream")
    assert summary["failures"] == 0
    wait_for(f"{3 * POSTS} records in S3", lambda: records_in_s3(stack) >= 3 * POSTS)
    stack.pinflow("batch")
    for kind in KINDS:
        stack.wait_for_rows(f"{kind}_table", POSTS)
    return stack


def test_docker_compose_accepts_the_files(engine: None) -> None:
    done = subprocess.run(
        ["docker", "compose", "--profile", "everything", "config", "-q"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_is_healthy_limited_and_on_loopback(stack: TestStack, service: str) -> None:
    def health() -> bool:
        return bool(containers.inspect(stack.profile, service)["State"]["Health"]["Status"] == "healthy")

    wait_for(f"{service} healthy", health, timeout=60)
    found = containers.inspect(stack.profile, service)
    assert found["RestartCount"] == 0
    assert found["HostConfig"]["Memory"] > 0
    assert {address for address, _ in containers.published(stack.profile, service)} <= {"127.0.0.1"}


def test_the_tables_are_what_the_oracle_makes_of_the_source(posted: TestStack) -> None:
    source = [[row for row in rows if row[0] < POSTS] for rows in posted.source().values()]
    for name, expected in (oracle.tables(*source) | oracle.answers(*source)).items():
        actual = posted.table(name)
        assert not oracle.compare(expected, sorted(actual, key=lambda row: row[0]) if name in KINDS else actual), name


def test_the_streams_have_each_record_once(posted: TestStack) -> None:
    for kind in KINDS:
        assert sorted(row[0] for row in posted.table(f"{kind}_table")) == list(range(POSTS))


def test_both_layers_agree_and_status_is_content(posted: TestStack) -> None:
    assert "both layers agree" in posted.pinflow("compare").stdout
    assert "all hops agree" in posted.pinflow("status").stdout


def test_the_doctor_finds_nothing_missing(posted: TestStack) -> None:
    done = posted.pinflow("doctor", check=False)
    assert done.returncode == 0, done.stdout


def test_logs_are_those_of_the_service(stack: TestStack) -> None:
    assert "KafkaRaftServer" in stack.pinflow("logs", "kafka", "-n", "500").stdout


def test_airflow_has_read_the_dag(stack: TestStack) -> None:
    assert f"{stack.profile.uid}_dag" in stack.pinflow("airflow").stderr


def test_up_again_is_harmless(stack: TestStack) -> None:
    before = {name: containers.identity(stack.profile, name) for name in SERVICES}
    done = stack.pinflow("up")
    assert done.stderr.count("was running") == len(SERVICES) - 1
    assert {name: containers.identity(stack.profile, name) for name in SERVICES} == before


def test_a_changed_password_is_applied_by_up_to_mysql_alone(stack: TestStack, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: containers.identity(stack.profile, name) for name in SERVICES}
    monkeypatch.setenv("PINFLOW_DATABASE_PASSWORD", 'it\'s "new" \\ $HOME 100%')
    said = stack.pinflow("up").stderr
    assert "restarting mysql: settings or images have changed" in said
    changed = {name for name in SERVICES if containers.identity(stack.profile, name) != before[name]}
    assert changed == {"mysql"}
    with stack.reloaded().connect() as connection:
        assert connection.open
    with pytest.raises(pymysql.Error, match="denied"):
        stack.connect()
