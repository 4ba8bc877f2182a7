"""All runs: starts them, cancels them, and repairs their states after the workspace was killed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from foundation import supervised
from services.databricks.workspace import cluster, outcome
from services.databricks.workspace.definitions import Definition, tasks_of
from services.databricks.workspace.driver import Driver
from services.databricks.workspace.errors import invalid_parameter, invalid_state
from services.databricks.workspace.execution import Execution, task_run
from services.databricks.workspace.outcome import Outcome
from services.databricks.workspace.process import Processes, end_orphan
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.store import Run, Store, now
from services.databricks.workspace.tree import Tree

log = logging.getLogger(__name__)
_DAY = 24 * 3600 * 1000


@dataclass(frozen=True)
class Request:
    """A run to be started: of a job (``job_id``), or submitted once."""

    definition: Definition
    name: str
    job_id: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    token: str | None = None
    trigger: str = "ONE_TIME"


class Runs:
    """The runs of the workspace. Everything but the constructor belongs to the event loop's thread."""

    def __init__(self, settings: Settings, store: Store, tree: Tree) -> None:
        self._settings, self._store, self._tree = settings, store, tree
        self._processes = Processes(settings.notebook_command, settings.max_processes)
        self._driver = Driver(settings)
        self._watching = asyncio.create_task(self._driver.watch())
        self._active: dict[int, Execution] = {}
        self._executing: set[asyncio.Task[None]] = set()
        self.on_end: Callable[[Run], None] = lambda run: None

    async def open(self) -> None:
        """Continue the runs that have retries left, end the others that were cut off; start the processes' server."""
        left = self._store.active_runs()
        await asyncio.gather(*(self._end_orphan(run, run.pid) for run in left if run.pid))
        for run in (run for run in left if run.parent_id is None):
            tasks = [task for task in self._store.tasks(run.run_id) if task.active]
            continues = run.life != "TERMINATING" and all(_continues(task) for task in tasks)
            for task in tasks:
                if not continues or task.started:
                    self._finish(task, outcome.RESTARTED)
            if continues:
                self._launch(run)
            else:
                self._finish(run, outcome.RESTARTED)
        self._forget_expired()
        self._processes.open()

    async def close(self) -> None:
        """End every process. The next start decides what becomes of the runs, as after a kill."""
        for execution in self._active.values():
            execution.leave()
        if self._executing:
            await asyncio.wait(self._executing)
        self._watching.cancel()
        await self._processes.close()

    def start(self, request: Request) -> Run:
        """Start a run and return at once; the same idempotency token returns the same run. Raises ApiError."""
        if request.token:
            known = self._store.run_of_token(request.token)
            if known is not None:
                return self.run(known)
        tasks = tasks_of(request.definition, request.name)
        limit = request.definition.max_concurrent_runs if request.job_id else 1
        run = Run(
            run_id=self._store.new_id(),
            job_id=request.job_id or self._store.new_id(),
            name=request.name,
            kind="JOB_RUN" if request.job_id else "SUBMIT_RUN",
            flat=not request.definition.tasks,
            definition={
                "tasks": [task.model_dump(exclude_none=True) for task in tasks],
                "parameters": [parameter.model_dump() for parameter in request.definition.parameters],
                "timeout_seconds": request.definition.timeout_seconds,
                "max_concurrent_runs": limit,
                "trigger": request.trigger,
            },
            parameters=request.parameters,
        )
        full = limit <= len(self._active_of(run.job_id))
        if full and request.definition.queue.enabled:
            run.life = "QUEUED"
        with self._store.transaction():
            self._store.add_run(run)
            for task in run.definition["tasks"]:
                life = "BLOCKED" if task["depends_on"] else "PENDING"
                self._store.add_run(task_run(run, task, self._store.new_id(), life=life))
            if request.token:
                self._store.keep_token(request.token, run.run_id)
        log.info("run %s (%s) of %s tasks submitted", run.run_id, run.name, len(tasks))
        if full and run.life != "QUEUED":
            for skipped in (*self._store.tasks(run.run_id), run):
                self._finish(skipped, outcome.AT_THE_LIMIT)
        else:
            self._launch(run)
        return run

    def run(self, run_id: int) -> Run:
        """A run or task run; raises ApiError in Databricks' words if there is none."""
        run = self._store.run(run_id)
        if run is None:
            raise invalid_parameter(f"Run {run_id} does not exist.")
        return run

    def cancel(self, run_id: int) -> None:
        """Cancel a run or one task run, which ends soon after; harmless if it has ended."""
        run = self.run(run_id)
        execution = self._active.get(run.parent_id or run.run_id)
        if execution and run.task_key:
            execution.stop_task(run.task_key, outcome.CANCELED)
        elif execution:
            execution.stop(outcome.CANCELED)

    def cancel_all(self, job_id: int | None) -> None:
        """Cancel the active runs of a job, or of all jobs."""
        for execution in list(self._active.values()):
            if job_id is None or execution.run.job_id == job_id:
                execution.stop(outcome.CANCELED)

    def delete(self, run_id: int) -> None:
        """Delete a run with its outputs; raises ApiError while it is active."""
        run = self.run(run_id)
        if run.parent_id:
            raise invalid_parameter(f"Run {run_id} is a task run; delete the run {run.parent_id}.")
        if run.active:
            raise invalid_state(f"Run {run_id} is active; cancel it first.")
        self._forget(run)

    def output(self, run_id: int) -> tuple[Run, dict[str, Any]]:
        """A task run and its output; raises ApiError for a run with `tasks`, which has none of its own."""
        run = self.run(run_id)
        if run.parent_id is None:
            if not run.flat:
                raise invalid_parameter(
                    "Retrieving the output of runs with multiple tasks is not supported. "
                    "Please retrieve the output of each individual task run instead."
                )
            return run, self._store.output(self._store.tasks(run.run_id)[0].run_id)
        return run, self._store.output(run.run_id)

    def is_active(self, job_id: int) -> bool:
        """Whether a run of the job has not ended."""
        return bool(self._active_of(job_id))

    def forget_all_but(self, job_id: int, newest: int) -> None:
        """Delete the job's ended runs except the newest ones."""
        for run in self._store.runs(-1, offset=newest, job_id=job_id, active=False):
            self._forget(run)

    async def _end_orphan(self, run: Run, pid: int) -> None:
        await end_orphan(pid, run.pid_started or 0)
        await cluster.close_sessions(self._settings, self._settings.home / "runs" / str(run.run_id))

    def _launch(self, run: Run) -> None:
        execution = Execution(run, self._settings, self._store, self._tree, self._processes, self._driver)
        self._active[run.run_id] = execution
        task = asyncio.create_task(self._until_done(execution))
        self._executing.add(task)
        task.add_done_callback(self._executing.discard)

    async def _until_done(self, execution: Execution) -> None:
        run = execution.run
        # No failure here may keep a continuous job from its next run.
        try:
            await execution.execute(lambda: self._turn(run))
        except Exception:
            log.exception("could not store the end of run %s (%s)", run.run_id, run.name)
        del self._active[run.run_id]
        log.info("run %s (%s) ended: %s %s", run.run_id, run.name, run.life, run.result)
        with supervised.turn("clean-up of old runs"):
            self._forget_expired()
        if not run.active:
            self.on_end(run)

    async def _turn(self, run: Run) -> None:
        """Wait until the earlier active runs of the job leave a place within its max_concurrent_runs."""
        limit = max(1, int(run.definition["max_concurrent_runs"]))
        while len(before := [e for e in self._active_of(run.job_id) if e.run.run_id < run.run_id]) >= limit:
            waiting = [asyncio.ensure_future(execution.done.wait()) for execution in before]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for waiter in waiting:
                    waiter.cancel()

    def _active_of(self, job_id: int) -> list[Execution]:
        return [e for e in self._active.values() if e.run.job_id == job_id and not e.done.is_set()]

    def _finish(self, run: Run, ending: Outcome) -> None:
        run.life, run.result, run.code, run.message = ending.life, ending.result, ending.code, ending.message
        run.ended = now()
        self._store.save(run)

    def _forget_expired(self) -> None:
        old = now() - self._settings.keep_days * _DAY
        for run in self._store.expired(self._settings.keep_runs, old):
            self._forget(run)

    def _forget(self, run: Run) -> None:
        attempts = self._store.attempts(run.run_id)
        self._store.delete_run(run.run_id)
        for attempt in attempts:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._settings.home / "runs" / str(attempt.run_id))


def _continues(task: Run) -> bool:
    """Whether a task that a restart cut off continues: with its next attempt, or unchanged if it only waited."""
    retries = int(task.definition.get("max_retries", 0))
    if task.life == "BLOCKED":
        return True
    return retries != 0 and (not task.started or not 0 <= retries <= task.attempt)
