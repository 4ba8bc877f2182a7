"""Every service killed in the middle of `make emulate-batch`: no record is lost, none is twice in the tables."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from foundation.profile import ROOT
from tests import oracle
from tests.servers.waiting import wait_for
from tests.stack import TestStack, running

SERVICES = ("mysql", "kafka", "rest_proxy", "localstack", "connect", "spark", "databricks")
POSTS = 600
KEYS = ("index", "ind", "ind")


@pytest.fixture(scope="module")
def stack() -> Iterator[TestStack]:
    yield from running("faults")


def emulate(stack: TestStack, start: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "emulator", "batch", "--json", "--profile", str(stack.profile.path)]
    command += ["--count", str(POSTS), "--start", str(start), "--order", "sequential", "--rate", "60"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def posts_in_s3(stack: TestStack) -> list[set[int]]:
    """Per topic the keys of all records that lie in S3."""
    found = []
    for topic, key in zip(stack.profile.topics, KEYS, strict=True):
        found.append({json.loads(line)[key] for lines in stack.objects(topic).values() for line in lines})
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_killed_in_mid_flow_loses_nothing(stack: TestStack, service: str) -> None:
    start = SERVICES.index(service) * POSTS
    emulator = emulate(stack, start)
    time.sleep(4)
    stack.kill(service)
    output, errors = emulator.communicate(timeout=240)
    assert emulator.returncode == 0, errors
    assert json.loads(output)["failures"] == 0
    sent = set(range(start + POSTS))
    wait_for("every record in S3", lambda: all(sent <= posts for posts in posts_in_s3(stack)), timeout=120)
    wait_for("all services ready", lambda: stack.pinflow("status", check=False).returncode == 0, timeout=120)


def test_after_all_the_kills_the_tables_are_what_the_oracle_computes(stack: TestStack) -> None:
    stack.pinflow("batch")
    posts = set.intersection(*posts_in_s3(stack))
    source = [[row for row in rows if row[0] in posts] for rows in stack.source().values()]
    expected = oracle.tables(*source) | oracle.answers(*source)
    for name, rows in expected.items():
        actual = stack.table(name)
        ordered = sorted(actual, key=lambda row: row[0]) if name in ("pin", "geo", "user") else actual
        assert not oracle.compare(rows, ordered), name


def test_the_batch_killed_in_mid_flow_leaves_whole_tables(stack: TestStack) -> None:
    before = sorted(stack.table("pin"))
    for delay in (1, 4, 7, 10):
        batch = subprocess.Popen(
            [sys.executable, "-m", "pinflow", "--profile", str(stack.profile.path), "batch"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(delay)
        stack.kill("spark")
        # Killed before the job had begun, it waits for the new driver and succeeds; else it fails and says so.
        output, _ = batch.communicate(timeout=240)
        assert "Traceback" not in output
        assert batch.returncode == 0 or "batch: " in output
        assert sorted(stack.table("pin")) == before
        wait_for("Spark is back", lambda: stack.pinflow("status", check=False).returncode == 0, timeout=120)
    stack.pinflow("batch")
    assert sorted(stack.table("pin")) == before


def test_after_down_and_up_everything_is_there(stack: TestStack) -> None:
    before = {name: sorted(stack.table(name), key=repr) for name in ("pin", "geo", "user", "q1", "q5")}
    posts = posts_in_s3(stack)
    stack.pinflow("down")
    stack.pinflow("up")
    wait_for("S3 filled again from Kafka", lambda: posts_in_s3(stack) == posts, timeout=120)
    stack.pinflow("batch")
    assert {name: sorted(stack.table(name), key=repr) for name in before} == before
