"""Temporary files of the services: in the stack's own directory, and deleted at the next start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from foundation.profile import Profile, load
from pinflow import instance
from pinflow.stack import launch, state
from services.kafka import native as kafka


class Became(Exception):
    """What a process was about to become."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self.arguments, self.environment = arguments, environment


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    def become(file: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        raise Became(arguments, environment)

    monkeypatch.setattr(os, "execvpe", become)
    monkeypatch.setattr(os, "chdir", lambda directory: None)
    monkeypatch.setenv("TMPDIR", "/somewhere/else")
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(kafka, "prepare", lambda profile: None)
    monkeypatch.setattr("services.mysql.server.Server.arguments", lambda self, data: ["mariadbd"])
    return load(str(instance.write("local", tmp_path / "p.yaml", tmp_path / "state", 0)))


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that outlives the service that started it in life 1, and has its temporary files there."""
    life = tmp_path / "state" / "tmp" / "databricks" / "1"
    life.mkdir(parents=True)
    (life / "open").touch()
    program = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
    process = subprocess.Popen(program, env={**os.environ, "TMPDIR": str(life)}, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("service", ["mysql", "kafka", "rest_proxy", "localstack", "connect", "databricks", "airflow"])
def test_every_service_is_given_a_directory_of_the_stack(profile: Profile, service: str) -> None:
    with pytest.raises(Became) as became:
        launch.become(service, profile)
    given = Path(became.value.environment["TMPDIR"])
    assert given.is_dir()
    assert given.is_relative_to(profile.home / "tmp" / service)
    assert given.stat().st_mode & 0o077 == 0


def test_a_jvm_is_told_so_in_its_own_way(profile: Profile) -> None:
    with pytest.raises(Became) as became:
        launch.become("kafka", profile)
    assert f"-Djava.io.tmpdir={became.value.environment['TMPDIR']}" in became.value.arguments


def test_what_a_killed_service_left_is_deleted_when_it_starts(profile: Profile, tmp_path: Path) -> None:
    left = state.temporary(profile.home, "kafka")
    (left / "snappy-1.1.10-libsnappyjava.so").touch()
    (left.with_name("1")).mkdir()
    (left.with_name("1") / "spark-x").mkdir()
    assert list(state.temporary(profile.home, "kafka").iterdir()) == []
    assert [path.name for path in left.parent.iterdir()] == [str(os.getpid())]


def test_a_notebook_that_outlives_its_service_keeps_its_files(
    profile: Profile, notebook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "state" / "tmp" / "databricks" / "1" / "open"
    state.temporary(profile.home, "databricks")
    assert file.exists()
    notebook.kill()
    notebook.wait()
    state.temporary(profile.home, "databricks")
    assert not file.exists()


def test_reset_deletes_them(profile: Profile) -> None:
    state.temporary(profile.home, "kafka")
    said: list[Any] = []
    state.delete(profile.home, said.append)
    assert not profile.home.exists()
