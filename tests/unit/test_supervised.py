"""Loops that go on after a failure, and what is shown of them."""

from __future__ import annotations

import ast
import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation import loops, supervised
from foundation.errors import NotReady
from foundation.profile import ROOT, load


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "PAUSE", 0.01)
    monkeypatch.setattr(supervised, "_failures", {})


def failing_times(count: int, done: threading.Event) -> Callable[[], None]:
    """Work that fails so many times and then goes well; ``done`` is set by the second turn that goes well."""
    turns = iter(range(count + 2))

    def work() -> None:
        number = next(turns)
        if number < count:
            raise ValueError(f"first line\nof failure {number}")
        if number == count + 1:
            done.set()

    return work


def test_a_loop_goes_on_after_failures() -> None:
    done = threading.Event()
    thread = supervised.start("loop", failing_times(3, done), every=0.01, stopping=done)
    assert done.wait(30)
    thread.join(30)
    assert not thread.is_alive()
    assert supervised.failing() == []


def test_a_loop_that_fails_is_shown_with_name_reason_and_since_when() -> None:
    before, stopping, seen = time.time(), threading.Event(), list[Any]()

    def work() -> None:
        seen.append(supervised.failing())
        if len(seen) == 3:
            stopping.set()
        raise ValueError("first line\nsecond line")

    supervised.run("loop", work, every=0.01, stopping=stopping)
    first, second = seen[1:]
    assert seen[0] == []
    assert [(f["name"], f["reason"]) for f in first] == [("loop", "ValueError: first line")]
    assert before <= first[0]["since"] <= time.time()
    assert second == first  # since the first failure of the row
    assert supervised.failing() == []  # a loop that was stopped fails no more


def test_work_that_has_an_end_is_done_once_and_tried_until_then() -> None:
    turns = []

    def work() -> None:
        turns.append(1)
        if len(turns) < 3:
            raise OSError("not yet")

    supervised.run("work", work)
    assert len(turns) == 3


def test_a_task_goes_on_after_failures_until_it_is_cancelled() -> None:
    async def main() -> None:
        done, turns = asyncio.Event(), list[int]()

        async def work() -> None:
            turns.append(1)
            if len(turns) < 3:
                raise ValueError("no")
            done.set()

        task = asyncio.create_task(supervised.run_async("task", work, every=0.01))
        await asyncio.wait_for(done.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert supervised.failing() == []


def test_the_same_reason_is_logged_once_with_its_traceback_and_the_recovery_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with supervised.turn("loop"):
                raise ValueError("broken")
        with supervised.turn("loop"):
            pass
    assert [record.getMessage() for record in caplog.records] == [
        "loop failed and will be retried: ValueError: broken",
        "loop works again",
    ]
    assert caplog.records[0].exc_info is not None


def test_a_known_failure_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with supervised.turn("loop", known=(OSError,)):
        raise ConnectionRefusedError("away")
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize("module", ["supervised.py", "connect.py"])
def test_nothing_but_the_standard_library_is_needed(module: str) -> None:
    tree = ast.parse((ROOT / "foundation" / module).read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert {str(module).split(".")[0] for module in modules} <= sys.stdlib_module_names


def test_a_failing_loop_is_told_with_the_command_that_shows_more(tmp_path: Path) -> None:
    failures = [{"name": "topics of sink", "reason": "ValueError: no", "since": 0.0}]
    with pytest.raises(NotReady) as told:
        loops.report(load("local"), "connect", failures)
    assert "topics of sink has been failing since" in told.value.what
    assert "ValueError: no\nsee: make logs S=connect PROFILE=local" in told.value.what
