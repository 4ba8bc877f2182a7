"""What a machine lacks is said before anything is started, with what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from foundation.errors import PreflightError
from foundation.profile import ROOT
from pinflow.stack import launch, preflight
from tests.unit.test_java import fake_java

NAMES = ["mysql", "kafka", "rest_proxy", "localstack", "connect", "spark", "databricks", "airflow"]
WHOLE = [launch.service(name) for name in NAMES]


def test_an_old_java_is_said_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, "echo 'openjdk version \"11.0.22\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(PreflightError, match=r"Java: .* is version 11; Kafka and Spark need 17") as error:
        preflight.check_machine(tmp_path, WHOLE)
    assert "install a JRE" in error.value.fix


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
