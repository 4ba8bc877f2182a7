"""Notebook processes: forked by one server, each on its own, and what becomes of them when the server is gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from foundation.profile import ROOT
from services.databricks.workspace.process import NotebookProcess, Processes

PROGRAM = """
import json, os, random, sys, time
from services.databricks.notebook.server import serve

def run():
    document = json.loads(sys.stdin.readline())
    ids = {"pid": os.getpid(), "group": os.getpgid(0)}
    print(json.dumps({**ids, "number": random.random(), "open": len(os.listdir("/dev/fd"))}), flush=True)
    exec(document["code"])

serve(int(sys.argv[2]), run)
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return [sys.executable, str(program)]


def with_processes(command: list[str], main: Callable[[Processes], Awaitable[None]]) -> None:
    # Servers of other tests may run as well.
    before = set(psutil.Process().children(recursive=True))

    async def run() -> None:
        processes = Processes(command, 8)
        processes.open()
        try:
            await main(processes)
        finally:
            await processes.close()
        assert not set(psutil.Process().children(recursive=True)) - before

    asyncio.run(run())


async def said(process: NotebookProcess) -> dict[str, Any]:
    while "\n" not in process.said + "\n" or not process.said:
        await asyncio.sleep(0.01)
    first: dict[str, Any] = json.loads(process.said.splitlines()[0])
    return first


def test_each_run_has_a_process_a_group_and_random_numbers_of_its_own(command: list[str]) -> None:
    async def main(processes: Processes) -> None:
        each = await asyncio.gather(*(processes.take({"code": "sys.exit(3)"}) for _ in range(5)))
        assert [await one.wait() for one in each] == [3] * 5
        told = [await said(one) for one in each]
        assert [one["pid"] for one in told] == [one["group"] for one in told] == [one.pid for one in each]
        assert len({one["number"] for one in told}) == 5
        # Its three, and the one that lists them: nothing of the server's or of another run's.
        assert {one["open"] for one in told} == {4}

    with_processes(command, main)


def test_a_run_may_be_given_more_than_a_pipe_holds_and_say_nothing(command: list[str]) -> None:
    async def main(processes: Processes) -> None:
        code = "time.sleep(0.2); os._exit(len(document['code']) // 100_000)"
        process = await processes.take({"code": code + " #" + "x" * 1_000_000})
        assert await process.wait() == 10

    with_processes(command, main)


def test_an_error_is_what_the_process_said_last(command: list[str]) -> None:
    async def main(processes: Processes) -> None:
        process = await processes.take({"code": "1 / 0"})
        assert await process.wait() == 1
        assert "ZeroDivisionError" in process.said

    with_processes(command, main)


def test_a_stopped_process_is_killed_with_its_group_after_a_while(command: list[str]) -> None:
    async def main(processes: Processes) -> None:
        code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); print('deaf', flush=True)"
        process = await processes.take({"code": f"{code}; time.sleep(300)"})
        while process.said.count("deaf") < 2:
            await asyncio.sleep(0.01)
        await process.stop(grace=0.1)
        assert await process.wait() == -signal.SIGKILL

    with_processes(command, main)


def test_when_the_server_is_killed_its_runs_end_and_the_next_has_a_new_one(command: list[str]) -> None:
    async def main(processes: Processes) -> None:
        process = await processes.take({"code": "time.sleep(300)"})
        os.kill(psutil.Process(process.pid).ppid(), signal.SIGKILL)
        assert await asyncio.wait_for(process.wait(), 30) == -signal.SIGKILL
        assert await (await processes.take({"code": "sys.exit(4)"})).wait() == 4

    with_processes(command, main)


def test_a_server_that_cannot_start_says_why_to_each_that_asks() -> None:
    async def main(processes: Processes) -> None:
        for _ in range(2):
            with pytest.raises(OSError, match=r"(?s)exited with status 7: no numpy here"):
                await processes.take({"code": ""})

    broken = "import sys; print('no numpy here'); sys.exit(7)"
    with_processes([sys.executable, "-c", broken], main)


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    async def main(processes: Processes) -> None:
        with pytest.raises(FileNotFoundError):
            await processes.take({"code": ""})

    with_processes([str(tmp_path / "python")], main)
