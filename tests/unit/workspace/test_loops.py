"""What the workspace does for ever goes on after a failure that nobody thought of, and is shown meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from foundation import supervised
from services.databricks.workspace import continuous, runs
from services.databricks.workspace.continuous import ContinuousJobs
from services.databricks.workspace.runs import Runs
from services.databricks.workspace.store import Run, now

SETTINGS = {
    "name": "stream",
    "tasks": [{"task_key": "only", "notebook_task": {"notebook_path": "/Users/me/n"}}],
    "continuous": {"pause_status": "UNPAUSED"},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuous, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(supervised, "_failures", {})


class Store:
    """One continuous job, in a database that can be broken."""

    def __init__(self) -> None:
        self.broken = False

    def job(self, job_id: int) -> Any:
        if self.broken:
            raise sqlite3.OperationalError("disk I/O error")
        return SimpleNamespace(job_id=job_id, settings=SETTINGS)

    def jobs(self, *_: Any) -> list[Any]:
        return [SimpleNamespace(job_id=7)]


class FakeRuns:
    """Takes down which runs are started."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.on_end: Callable[[Run], None] = lambda run: None

    def is_active(self, job_id: int) -> bool:
        return False

    def start(self, request: Any) -> None:
        self.started.append(request.job_id)

    def forget_all_but(self, job_id: int, newest: int) -> None:
        pass


def a_run(result: str | None = None) -> Run:
    life = "TERMINATED" if result else "PENDING"
    return Run(
        run_id=1, job_id=7, name="stream", kind="JOB_RUN", definition={}, life=life, result=result, started=now()
    )


async def wait_for(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(30):
        while not (seen := condition()):
            await asyncio.sleep(0.01)
    return seen


def test_a_continuous_job_is_run_again_although_the_database_failed_when_its_run_ended() -> None:
    async def main() -> None:
        taking_down, store = FakeRuns(), Store()
        jobs = ContinuousJobs(taking_down, store)  # type: ignore[arg-type]
        jobs.open()
        assert taking_down.started == [7]
        store.broken = True
        taking_down.on_end(a_run("FAILED"))
        (failure,) = await wait_for(supervised.failing)
        assert failure["name"] == "continuous job 7"
        assert failure["reason"] == "OperationalError: disk I/O error"
        store.broken = False
        await wait_for(lambda: taking_down.started == [7, 7])
        await wait_for(lambda: supervised.failing() == [])
        jobs.close()

    asyncio.run(main())


def test_a_broken_job_does_not_keep_the_workspace_from_starting() -> None:
    async def main() -> None:
        taking_down, store = FakeRuns(), Store()
        store.broken = True
        jobs = ContinuousJobs(taking_down, store)  # type: ignore[arg-type]
        jobs.open()
        store.broken = False
        await wait_for(lambda: taking_down.started == [7])
        jobs.close()

    asyncio.run(main())


@pytest.mark.parametrize("broken", ["execute", "clean-up"])
def test_a_run_whose_end_could_not_be_kept_is_over_all_the_same(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Else a continuous job would never be run again."""

    def fail() -> None:
        raise OSError(28, "No space left on device")

    class Execution:
        def __init__(self, run: Run, *_: Any) -> None:
            self.run, self.done = run, asyncio.Event()

        async def execute(self, turn: Any) -> None:
            self.run.life = "TERMINATED"
            if broken == "execute":
                fail()

    monkeypatch.setattr(runs, "Execution", Execution)
    monkeypatch.setattr(Runs, "_forget_expired", lambda self: fail() if broken == "clean-up" else None)

    async def main() -> None:
        nobody: dict[str, Any] = {"control_url": "http://127.0.0.1:9", "control_token": SecretStr("t")}
        settings: Any = SimpleNamespace(notebook_command=[], max_processes=1, **nobody)
        going, ended = Runs(settings, Store(), None), list[Run]()  # type: ignore[arg-type]
        going.on_end = ended.append
        going._launch(a_run())
        await wait_for(lambda: ended)
        assert not going.is_active(7)
        reasons = [failure["reason"] for failure in supervised.failing()]
        # What happens once and is over goes to the log; what is tried again is shown.
        assert reasons == (["OSError: [Errno 28] No space left on device"] if broken == "clean-up" else [])

    asyncio.run(main())
