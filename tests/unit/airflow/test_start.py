"""Airflow's start: what it ends of a predecessor, and when S3 is there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from services.airflow.native import HERE


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """services/airflow/start.py as it is run: its neighbours beside it, its settings in the environment."""
    for name, value in {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW_VERSION": "3.2.1", "MWAA_BUCKET": "dags"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(HERE))
    for name, value in {"MWAA_ENVIRONMENT": "e", "MWAA_AIRFLOW_API": "http://127.0.0.1:1/api/v2"}.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("airflow_start", HERE / "start.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "airflow_start", module)
    spec.loader.exec_module(module)
    module.mwaa.supervised["_failures"].clear()
    return module


def test_only_processes_of_a_predecessor_are_ended(start: ModuleType, tmp_path: Path) -> None:
    own = {"AIRFLOW_HOME": str(tmp_path), "MWAA_LISTEN": "127.0.0.1:1"}
    persons, elsewhere = {"AIRFLOW_HOME": str(tmp_path)}, own | {"AIRFLOW_HOME": "/elsewhere"}
    left, *others = [subprocess.Popen(["sleep", "60"], env=env) for env in (own, persons, elsewhere)]
    try:
        start.kill_leftovers()
        assert left.wait(5) == -9
        assert all(psutil.pid_exists(other.pid) and other.poll() is None for other in others)
    finally:
        for process in (left, *others):
            process.kill()
            process.wait()


def test_a_program_that_ends_again_and_again_is_shown_until_it_has_settled(start: ModuleType, tmp_path: Path) -> None:
    program = start.Program("scheduler", lambda: os._exit(3))  # never called: 5 s have not passed
    ended = subprocess.Popen(["sh", "-c", "exit 3"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    program.pid, program.started = ended.pid, start.time.monotonic()
    program.keep()
    start.write_failing()
    (shown,) = json.loads((tmp_path / "failing.json").read_text())
    assert (shown["name"], shown["reason"]) == ("scheduler", "exited with status 3 soon after its start")
    alive = subprocess.Popen(["sleep", "60"])
    try:
        program.pid, program.started = alive.pid, start.time.monotonic() - start.SETTLED - 1
        program.keep()
        start.write_failing()
        assert json.loads((tmp_path / "failing.json").read_text()) == []
    finally:
        alive.kill()
        alive.wait()


def test_a_program_that_ends_after_long_work_does_not_fail(
    start: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    program = start.Program("scheduler", lambda: os._exit(0), pid=ended.pid, started=start.time.monotonic() - 1000)
    monkeypatch.setattr(start, "fork", lambda run: 0)
    program.keep()
    start.write_failing()
    assert json.loads((tmp_path / "failing.json").read_text()) == []
