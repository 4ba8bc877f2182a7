"""tests/schedule.py: a group stays in one process, durations are kept, a budget is kept to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.profile import ROOT
from tests.schedule import group

MODULE = """
import os, pytest

@pytest.mark.parametrize("number", range(4))
def test_one(number):
    with open(f"{__file__}.workers", "a") as file:
        print(os.environ.get("PYTEST_XDIST_WORKER"), file=file)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three modules of four tests, with nothing of this repository's settings."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = long\n")
    for name in ("test_a.py", "test_b.py", "test_c.py"):
        (tmp_path / name).write_text(MODULE)
    return tmp_path


def run(folder: Path, *options: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "tests.schedule", "-p", "no:cacheprovider", "-q", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_the_tests_of_a_group_run_in_one_process(folder: Path) -> None:
    assert "12 passed" in run(folder, "-n", "2")
    workers = [set(file.read_text().split()) for file in folder.glob("*.workers")]
    assert [len(names) for names in workers] == [1, 1, 1]
    assert len(set.union(*workers)) == 2


def test_a_test_that_would_not_end_in_time_is_not_run_and_is_named(folder: Path) -> None:
    kept = folder / ".pinflow" / "tests" / "durations.json"
    assert "12 passed" in run(folder)
    durations = json.loads(kept.read_text())
    assert len(durations) == 12
    kept.write_text(json.dumps(durations | {"test_b.py::test_one[2]": 700.0}))
    printed = run(folder, "--budget", "600")
    assert "11 passed, 1 skipped" in printed
    assert "700 s  test_b.py::test_one[2]" in printed
    assert json.loads(kept.read_text())["test_b.py::test_one[2]"] == 700, "what was not run keeps its duration"


def test_folders_that_share_a_server_are_one_group() -> None:
    assert group("tests/contract/kafka/test_broker.py::test_a") == group("tests/contract/connect/test_rest.py::test_b")
    assert group("tests/unit/test_paths.py::test_a[x::y]") == "tests/unit/test_paths.py"
