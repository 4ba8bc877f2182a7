"""A profile that was edited while its stack runs: what has changed, what is said of it, which services start again."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from foundation import changes
from foundation.profile import ROOT, Profile, load
from pinflow import instance, stream
from pinflow.cli import cli
from pinflow.stack import launch, runtime
from pinflow.stack.native import NativeStack
from pinflow.stack.supervision import Process

AWS = {"localstack", "connect", "spark", "airflow"}
# Each key of a local profile: another value that is valid, and the services that take it at their start. What none
# takes is used by each command and notebook anew, or stands in what `make up` puts there: topics, the connector.
KEYS: dict[str, tuple[Any, set[str]]] = {
    "uid": ("aaaaaaaaaaaa", {"localstack", "airflow"}),
    "aws.region": ("eu-west-1", AWS - {"connect"}),
    "aws.endpoint_url": ("http://127.0.0.1:7777", AWS),
    "aws.access_key_id": ("${TEST_NEW}", AWS),
    "aws.secret_access_key": ("${TEST_NEW}", AWS),
    "database.url": ("mysql+pymysql://pinflow@127.0.0.1:7777/pinterest_data", {"mysql"}),
    "database.password": ("${TEST_NEW}", {"mysql"}),
    "api.invoke_url": ("http://127.0.0.1:7777/dev", set()),
    "api.authorization": ("iam", set()),
    "api.api_key": ("${TEST_NEW}", set()),
    "kafka.bootstrap_servers": ("127.0.0.1:7777", {"kafka", "rest_proxy", "connect"}),
    "kafka.partitions": (3, set()),
    "kafka.security": ("iam", set()),
    "kafka.role_arn": ("arn:aws:iam::123456789012:role/a", set()),
    "kafka.cluster_arn": ("arn:aws:kafka:eu-west-1:123456789012:cluster/a/b", set()),
    "kinesis.shards": (2, {"localstack"}),
    "rest_proxy.url": ("http://127.0.0.1:7777", {"rest_proxy", "localstack"}),
    "connect.url": ("http://127.0.0.1:7777", {"connect", "localstack"}),
    "connect.connector": ("another", {"localstack"}),
    "connect.msk": (
        {
            "plugin": "a",
            "worker_configuration": None,
            "role_arn": "arn:aws:iam::123456789012:role/a",
            "subnets": "a",
            "security_groups": "a",
        },
        set(),
    ),
    "storage.bucket": ("another-bucket", {"localstack", "airflow"}),
    "storage.dag_bucket": ("another-bucket", {"localstack", "airflow"}),
    "spark.remote": ("sc://127.0.0.1:7777", {"spark", "databricks"}),
    "databricks.host": ("http://127.0.0.1:7777", {"databricks", "airflow"}),
    "databricks.token": ("${TEST_NEW}", {"spark", "databricks", "airflow"}),
    "databricks.cluster_id": ("1111-000000-pinflow0", {"spark", "databricks", "airflow"}),
    "databricks.secrets": ({"mine": {"key": "${TEST_NEW}"}}, {"databricks"}),
    "airflow.environment": ("another", {"airflow"}),
    "airflow.version": ("2.11.2", {"airflow"}),
    "airflow.url": ("http://127.0.0.1:7777", {"airflow"}),
    "airflow.endpoint_url": ("http://127.0.0.1:7777", {"airflow"}),
    "stack.dump": ("dump.sql", set()),
}
SECRETS = ("aws.access_key_id", "aws.secret_access_key", "database.password", "api.api_key", "databricks.token")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Profile]:
    """A profile whose stack was started with it."""
    monkeypatch.setenv("TEST_NEW", "a-new-secret")
    profile = load(str(instance.write("local", tmp_path / "mine.yaml", tmp_path / "state", 0)))
    changes.remember(profile)
    yield profile


def edit(profile: Profile, key: str, value: Any) -> Profile:
    """The profile with another value at a dotted key, as a person writes it into the file."""
    document = yaml.safe_load(profile.path.read_text())
    *sections, last = key.split(".")
    place = document
    for section in sections:
        place = place[section]
    place[last] = value
    profile.path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load(str(profile.path))


def test_nothing_is_said_while_nothing_has_changed(stack: Profile) -> None:
    assert changes.notice(load(str(stack.path))) == ""


def test_nothing_is_said_of_a_stack_that_was_never_started_or_is_stopped(stack: Profile, tmp_path: Path) -> None:
    changes.forget(stack)
    assert changes.notice(edit(stack, "uid", "aaaaaaaaaaaa")) == ""


def test_a_new_uid_is_said_with_all_that_is_named_after_it_and_what_to_do(stack: Profile) -> None:
    said = changes.notice(edit(stack, "uid", "aaaaaaaaaaaa"))
    assert "uid 0a1b2c3d4e5f → aaaaaaaaaaaa" in said
    assert "storage.bucket user-0a1b2c3d4e5f-bucket → user-aaaaaaaaaaaa-bucket" in said
    assert "connect.connector user-0a1b2c3d4e5f-s3-sink → user-aaaaaaaaaaaa-s3-sink" in said
    assert f"make up PROFILE={stack.path}" in said


@pytest.mark.parametrize("key", [key for key in KEYS if key not in SECRETS])
def test_every_key_is_named_with_its_new_value(stack: Profile, key: str) -> None:
    value = KEYS[key][0]
    said = changes.notice(edit(stack, key, value))
    assert key in said
    if not isinstance(value, dict):
        assert f"→ {value}" in said


@pytest.mark.parametrize("key", SECRETS)
def test_of_a_secret_only_the_key_is_named_and_no_value_is_written_down(stack: Profile, key: str) -> None:
    said = changes.notice(edit(stack, key, "${TEST_NEW}"))
    assert key in said
    assert "a-new-secret" not in said
    changes.remember(load(str(stack.path)))
    written = (stack.home / "run" / "profile.json").read_text()
    assert "a-new-secret" not in written
    assert (stack.home / "run" / "profile.json").stat().st_mode & 0o077 == 0
    assert changes.notice(load(str(stack.path))) == ""


def test_the_same_secret_is_written_down_in_another_way_each_time(stack: Profile) -> None:
    file = stack.home / "run" / "profile.json"
    first = json.loads(file.read_text())["secrets"]
    changes.remember(stack)
    assert json.loads(file.read_text())["secrets"]["database.password"] != first["database.password"]


def test_what_up_cannot_change_is_said(stack: Profile) -> None:
    assert "existing topics keep their number" in changes.notice(edit(stack, "kafka.partitions", 3))
    assert "existing streams keep their number" in changes.notice(edit(stack, "kinesis.shards", 3))


def test_a_stack_whose_directory_was_changed_is_not_forgotten(
    stack: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "ROOT", tmp_path)
    old = edit(stack, "stack.directory", str(tmp_path / ".pinflow" / "old"))
    changes.remember(old)
    changes.forget(stack)
    new = edit(old, "stack.directory", str(tmp_path / "state"))
    assert ".pinflow/old" in changes.moved(new)
    assert "make down" in changes.moved(new)
    changes.forget(old)
    assert changes.moved(new) == ""


def test_a_record_that_cannot_be_read_is_none(stack: Profile) -> None:
    (stack.home / "run" / "profile.json").write_text("{")
    assert changes.notice(edit(stack, "uid", "aaaaaaaaaaaa")) == ""


@pytest.mark.parametrize("command", ["where", "status", "batch", "stream-status", "compare", "doctor"])
def test_every_command_says_it(stack: Profile, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it does anything: it may fail because of the change."""
    monkeypatch.setenv("RUNTIME", "native")
    edit(stack, "uid", "aaaaaaaaaaaa")
    monkeypatch.setattr(cli.commands[command], "callback", lambda *args, **options: None)
    done = CliRunner().invoke(cli, ["--profile", str(stack.path), command])
    assert "uid 0a1b2c3d4e5f → aaaaaaaaaaaa" in done.output


@pytest.mark.parametrize("key", KEYS)
def test_the_services_that_take_a_key_at_their_start_start_again(stack: Profile, key: str) -> None:
    salt = "salt"
    before = {one.name: launch.digest_of_settings(one, stack, salt) for one in launch.services(stack)}
    other = edit(stack, key, KEYS[key][0])
    after = {one.name: launch.digest_of_settings(one, other, salt) for one in launch.services(other)}
    assert {name for name in before if before[name] != after[name]} == KEYS[key][1]


def test_no_key_is_left_out_of_these_tests() -> None:
    document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    keys = {
        f"{section}.{key}" if isinstance(values, dict) else section
        for section, values in document.items()
        for key in (values if isinstance(values, dict) else [""])
    }
    assert keys == {*KEYS, "stack.directory", "stack.services"}


def test_up_stops_only_what_runs_with_other_settings(stack: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in launch.services(stack):
        launch.write_settings(one, stack)
    assert (stack.home / "run" / "kafka.settings").stat().st_mode & 0o077 == 0
    changed = edit(stack, "kafka.bootstrap_servers", "127.0.0.1:7777")
    native, stopped, said = NativeStack(changed), list[str](), list[str]()
    running = {one.name: Process("RUNNING", 1, 1.0) for one in native.services if one.name != "rest_proxy"}
    monkeypatch.setattr(native.supervision, "processes", lambda: running)
    monkeypatch.setattr(native.supervision, "stop", stopped.append)
    native._stop(native._changed(), said.append)
    assert stopped == ["connect", "kafka"]
    assert "connect, kafka" in said[0]


@pytest.mark.parametrize("name", ["airflow", "connect", "databricks", "localstack", "rest_proxy", "spark"])
def test_what_a_start_writes_down_is_what_a_later_command_compares(
    stack: Profile, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The launcher has an environment of its own, a TMPDIR above all."""
    before = {**os.environ}
    monkeypatch.setattr(os, "execvpe", lambda *arguments: None)
    monkeypatch.setattr(os, "chdir", lambda directory: None)
    launch.become(name, stack)
    assert os.environ["TMPDIR"] != before.get("TMPDIR")
    os.environ.clear()
    os.environ.update(before)
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert not launch.changed(launch.service(name), stack)


def test_the_terminals_path_is_no_setting(stack: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    (airflow,) = (one for one in launch.services(stack) if one.name == "airflow")
    launch.write_settings(airflow, stack)
    monkeypatch.setenv("PATH", "/another:/usr/bin:/bin")
    assert not launch.changed(airflow, stack)


def test_up_ends_the_streams_of_the_uid_that_was_before(stack: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME", "native")
    monkeypatch.setattr(NativeStack, "up", lambda self, say: None)
    monkeypatch.setattr(runtime, "until_refilled", lambda profile, timeout, say: None)
    ended = list[str]()
    monkeypatch.setattr("pinflow.stream.stop", lambda profile, say: ended.append(stream.job_name(profile)))
    runtime.up(stack, print)
    assert ended == []
    changed = edit(stack, "uid", "aaaaaaaaaaaa")
    runtime.up(changed, print)
    assert ended == ["0a1b2c3d4e5f stream"]
    assert changes.notice(changed) == ""


def test_what_a_start_that_fails_began_with_is_known_and_not_overwritten(stack: Profile) -> None:
    changes.remember_start(edit(stack, "uid", "aaaaaaaaaaaa"))
    assert "uid 0a1b2c3d4e5f → aaaaaaaaaaaa" in changes.notice(load(str(stack.path))), "of the stack that runs"
    changes.forget(stack)
    changes.remember_start(load(str(stack.path)))
    assert "uid aaaaaaaaaaaa → 0a1b2c3d4e5f" in changes.notice(edit(stack, "uid", "0a1b2c3d4e5f"))
