"""The stack's own rules, with services that are not there: order, names, what an error says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from foundation.errors import PinflowError, ProfileError, brief
from foundation.profile import ROOT, Profile, load
from pinflow import install, instance
from pinflow.stack import supervision
from pinflow.stack.native import NativeStack
from services.spark import native as spark
from tests.servers.waiting import wait_for
from tests.unit.test_java import fake_java


def profile(directory: Path, services: str, offset: int = 0) -> Profile:
    file = instance.write("local", directory / "p.yaml", directory / "state", offset)
    text = file.read_text().split("  services:")[0] + f"  services: [{services}]\n  dump: null\n"
    file.write_text(text)
    return load(str(file))


def test_consumers_stop_before_what_they_consume_from(tmp_path: Path) -> None:
    stack = NativeStack(profile(tmp_path, "mysql, kafka, rest_proxy, localstack, connect"))
    levels = stack._levels_from_the_top()
    place = {name: number for number, names in enumerate(levels) for name in names}
    assert place["connect"] < place["kafka"]
    assert place["connect"] < place["localstack"]
    assert place["rest_proxy"] < place["kafka"]


def test_dbutils_may_change_temporary_and_the_stacks_own_files_unless_the_profile_says_all(tmp_path: Path) -> None:
    made = profile(tmp_path, "spark")
    given = spark.command(made).environment["CLUSTER_WRITABLE"].split(os.pathsep)
    assert {"/tmp", str(tmp_path / "state")} == set(given)
    text = made.path.read_text()
    made.path.write_text(text.replace("  remote: sc:", "  local_files: all\n  remote: sc:"))
    assert spark.command(load(str(made.path))).environment["CLUSTER_WRITABLE"] == "/"


def test_an_unknown_service_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no service zookeeper") as error:
        NativeStack(profile(tmp_path, "mysql, zookeeper"))
    assert "kafka" in str(error.value)


def test_a_service_without_what_it_needs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="connect needs kafka, localstack"):
        NativeStack(profile(tmp_path, "connect"))


def test_a_stack_whose_directory_is_elsewhere_is_linked_in_pinflow_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / ".pinflow"
    monkeypatch.setattr(install, "PACKAGES", packages)
    monkeypatch.setattr(supervision, "PACKAGES", packages)
    one = profile(tmp_path, "mysql")
    processes = NativeStack(one).supervision
    assert install.running_stacks() == {}
    processes.start()
    try:
        assert install.running_stacks() == {one.home: str(one.path)}
    finally:
        processes.shutdown()
    assert install.running_stacks() == {}
    assert list((packages / "stacks").iterdir()) == []


def test_status_of_a_stack_that_never_ran_is_stopped(tmp_path: Path) -> None:
    health = NativeStack(profile(tmp_path, "mysql, kafka")).health()
    assert [(one.name, one.state, one.pid, one.memory) for one in health] == [
        ("mysql", "stopped", 0, 0),
        ("kafka", "stopped", 0, 0),
    ]


# Formats Kafka's data; as the broker it complains and exits, later than supervisord takes for a failed start.
CRASHING_JAVA = """
case "$*" in
*-version*) echo 'openjdk version "21.0.2"' >&2 ;;
*KafkaDockerWrapper*) ;;
*) echo starting; sleep 1.2; echo 'disk on fire'; exit 1 ;;
esac
"""


def test_a_service_that_exits_again_and_again_fails_soon_with_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path / "java", CRASHING_JAVA)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setattr(supervision, "PACKAGES", tmp_path / ".pinflow")
    stack = NativeStack(profile(tmp_path, "kafka", instance.free_offset("local")))
    said: list[str] = []
    try:
        with pytest.raises(PinflowError, match=r"kafka: exited 3 times without becoming ready: .*refused") as error:
            stack.up(said.append)
        assert "    disk on fire\n" in error.value.what
        (health,) = stack.health()
        assert health.state == "failed"
        assert health.detail.startswith("exited ")
        assert health.detail.endswith("last log line: disk on fire")
    finally:
        stack.down(print)
    (health,) = stack.health()
    assert health.state == "stopped"


def test_ctrl_c_leaves_what_was_started_and_the_next_up_waits_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path / "java", CRASHING_JAVA.replace("sleep 1.2", "exec sleep 600"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    one = profile(tmp_path, "kafka", instance.free_offset("local"))
    command = [sys.executable, "-m", "pinflow", "--profile", str(one.path), "up"]
    file, pids = one.home / "run" / "kafka.pid", []
    try:
        for _ in range(2):
            # A group of its own, as a terminal makes one: Ctrl-C reaches every process in it.
            with subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "RUNTIME": "native"}, stderr=subprocess.PIPE, text=True,
                start_new_session=True,
            ) as up:  # fmt: skip
                assert up.stderr
                said = next(line for line in up.stderr if "waiting" in line or "Error" in line)
                assert said.startswith("kafka        waiting")
                pids.append(wait_for("the broker's pid", lambda: file.exists() and file.read_text()))
                os.killpg(up.pid, signal.SIGINT)
                assert up.stderr.read().splitlines()[-1].startswith("stopped by Ctrl-C; services")
                assert up.wait() == 130
        assert pids[0] == pids[1]
        assert [health.state for health in NativeStack(one).health()] == ["starting"]
    finally:
        NativeStack(one).down(print)


def test_an_instance_moves_every_port_and_nothing_else(tmp_path: Path) -> None:
    first, second = load("local"), load(str(instance.write("local", tmp_path / "p.yaml", tmp_path, 1000)))
    assert second.kafka.bootstrap_servers == "127.0.0.1:10092"
    assert second.spark.remote == "sc://127.0.0.1:16002"
    assert second.api.invoke_url.startswith("http://127.0.0.1:5566/")
    assert second.home == tmp_path
    assert (second.uid, second.storage, second.aws.region) == (first.uid, first.storage, first.aws.region)


def test_an_offset_beyond_the_last_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PinflowError, match="does not exist"):
        instance.write("local", tmp_path / "p.yaml", tmp_path, 60000)


def test_the_cause_of_an_error_is_told_not_its_wrappings() -> None:
    inner = ConnectionRefusedError(111, "Connection refused")
    outer = RuntimeError("HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded", inner)
    assert brief(outer) == "Connection refused"
    assert brief(ValueError("first line\nsecond line")) == "first line"


def test_what_a_killed_service_has_left_running_is_ended_with_the_orphans(tmp_path: Path) -> None:
    """Airflow's children hold its ports when both it and supervisord were killed."""
    one = profile(tmp_path, "mysql")
    environment = {**os.environ, "TMPDIR": str(one.home / "tmp" / "airflow" / "1")}
    left = subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True)
    others = subprocess.Popen(["sleep", "60"], env={**os.environ, "TMPDIR": str(tmp_path)}, start_new_session=True)
    try:
        assert NativeStack(one).supervision.stop_orphans() == [f"process {left.pid}"]
        assert not psutil.pid_exists(left.pid)
        assert others.poll() is None
    finally:
        for process in (left, others):
            process.kill()
            process.wait()
