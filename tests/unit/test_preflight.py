"""What a machine lacks is said before anything is started, with what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from pinflow.errors import PreflightError
from pinflow.profile import ROOT
from pinflow.stack import launch, preflight

NAMES = ["mysql", "kafka", "rest_proxy", "localstack", "connect", "spark", "databricks", "airflow"]
WHOLE = [launch.service(name) for name in NAMES]


def fake_java(directory: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `java` on PATH that gives itself out as a version; no other java is to be found."""
    executable = directory / "java"
    executable.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    executable.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{directory}:/bin")


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.2", "25-ea"])
def test_java_from_17_on_is_taken(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, version, monkeypatch)
    preflight.check_java()


@pytest.mark.parametrize(("version", "seen"), [("1.8.0_402", "8"), ("11.0.22", "11")])
def test_an_older_java_is_named(version: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, version, monkeypatch)
    with pytest.raises(PreflightError, match=rf"is version {seen}; Kafka and Spark need 17") as error:
        preflight.check_java()
    assert "JAVA_HOME" in str(error.value)


def test_no_java_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreflightError, match="no `java` on PATH") as error:
        preflight.check_java()
    assert "install a JRE" in str(error.value)


def test_too_little_memory_is_said_in_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(PreflightError, match=r"memory: 1\.0 GiB available, the stack needs 5\.0 GiB"):
        preflight.check_machine(tmp_path, WHOLE)


def test_fewer_services_need_less_memory_as_the_message_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=3 * 2**30))
    with pytest.raises(PreflightError, match=r"spark 1\.5"):
        preflight.check_machine(tmp_path, WHOLE)
    few = {"mysql", "kafka", "rest_proxy", "localstack", "connect"}
    preflight.check_machine(tmp_path, [service for service in WHOLE if service.name in few])


def test_every_service_has_its_need_of_memory() -> None:
    folders = {file.parent.name for file in (ROOT / "services").glob("*/native.py")}
    assert folders == set(NAMES)
    assert all(service.memory > 0 for service in WHOLE)


def test_too_little_disk_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**30))
    with pytest.raises(PreflightError, match=rf"disk: 1\.0 GiB free at {tmp_path}"):
        preflight.check_machine(tmp_path, WHOLE)


def test_a_port_in_use_names_the_process_that_holds_it() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PreflightError, match=rf"kafka: port {port} .* process {os.getpid()} \(") as error:
            preflight.check_port("kafka", port)
    assert "change the port in the profile" in str(error.value)
    preflight.check_port("kafka", port)
