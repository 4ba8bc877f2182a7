"""Whatever reads or keeps the streams killed while people post: no record is lost, none is twice in the tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from foundation.profile import ROOT
from tests.servers.waiting import wait_for
from tests.stack import TestStack, running

KINDS = {"pin": "index", "geo": "ind", "user": "ind"}
POSTS = 200


@pytest.fixture(scope="module")
def stack() -> Iterator[TestStack]:
    for stack in running("stream-faults"):
        stack.pinflow("stream")
        yield stack


def notebook_process(stack: TestStack) -> int:
    """The process of the notebook that holds the three queries: the workspace's oldest child with a run."""
    workspace = psutil.Process(stack.pid("databricks"))
    children = [p for p in workspace.children() if any("notebook" in part for part in p.cmdline())]
    return min(children, key=lambda process: process.create_time()).pid


def kill(stack: TestStack, what: str) -> None:
    if what == "notebook":
        os.kill(notebook_process(stack), signal.SIGKILL)
    else:
        stack.kill(what)


def rows(stack: TestStack, kind: str) -> list[int]:
    return sorted(row[0] for row in stack.table(f"{kind}_table"))


@pytest.mark.parametrize("number", range(10))
def test_killed_while_people_post_each_record_is_there_once(stack: TestStack, number: int) -> None:
    what = ("spark", "notebook", "databricks")[number % 3]
    command = [sys.executable, "-m", "emulator", "stream", "--json", "--profile", str(stack.profile.path)]
    command += ["--count", str(POSTS), "--start", str(number * POSTS), "--order", "sequential", "--rate", "25"]
    emulator = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1 + number * 0.5)
    kill(stack, what)
    output, errors = emulator.communicate(timeout=240)
    assert emulator.returncode == 0, errors
    assert json.loads(output)["failures"] == 0
    expected = list(range((number + 1) * POSTS))
    for kind in KINDS:
        stack.wait_for_rows(f"{kind}_table", len(expected), timeout=180)
        assert rows(stack, kind) == expected, f"{kind} after {what} was killed"


def test_after_localstack_was_killed_the_streams_go_on(stack: TestStack) -> None:
    before = {kind: rows(stack, kind) for kind in KINDS}
    stack.kill("localstack")
    wait_for("all services ready", lambda: stack.pinflow("status", check=False).returncode == 0, timeout=120)
    stack.emulate("--count", "50", "--order", "sequential", "--start", "9000", "--rate", "max", command="stream")
    for kind, earlier in before.items():
        expected = [*earlier, *range(9000, 9050)]
        stack.wait_for_rows(f"{kind}_table", len(expected), timeout=180)
        assert rows(stack, kind) == expected
