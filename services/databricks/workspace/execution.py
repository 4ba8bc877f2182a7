"""Executes one run: its tasks in their order, each in notebook processes, until all have ended."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from services.databricks.workspace import cluster, events, outcome
from services.databricks.workspace.definitions import JobParameter, Task
from services.databricks.workspace.driver import Driver
from services.databricks.workspace.outcome import Outcome
from services.databricks.workspace.parameters import job_parameters, notebook_parameters
from services.databricks.workspace.process import NotebookProcess, Processes
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.store import Run, Store, now
from services.databricks.workspace.tree import Tree

log = logging.getLogger(__name__)
T = TypeVar("T")
_KEPT_ATTEMPTS = 50


class _StoppedError(Exception):
    """The task must end with ``outcome``."""

    def __init__(self, ending: Outcome) -> None:
        super().__init__(ending.message)
        self.outcome = ending


class Execution:
    """One run that has not ended."""

    def __init__(
        self, run: Run, settings: Settings, store: Store, tree: Tree, processes: Processes, driver: Driver
    ) -> None:
        self.run = run
        self.done = asyncio.Event()
        self._settings, self._store, self._tree, self._processes = settings, store, tree, processes
        self._driver = driver
        self._tasks = [Task.model_validate(task) for task in run.definition["tasks"]]
        self._latest = {str(task.task_key): task for task in store.tasks(run.run_id)}
        self._left = False
        loop = asyncio.get_running_loop()
        self._ended: dict[str, asyncio.Future[Outcome]] = {task.task_key: loop.create_future() for task in self._tasks}
        self._stops: dict[str, asyncio.Future[Outcome]] = {task.task_key: loop.create_future() for task in self._tasks}
        self._stopped: asyncio.Future[Outcome] = loop.create_future()
        # Not empty after a restart of the workspace, if tasks have ended already.
        already = {key: task for key, task in self._latest.items() if not task.active}
        self._values = {key: events.task_values(self._directory(task)) for key, task in already.items()}

    def stop(self, ending: Outcome) -> None:
        """End the run and all its tasks; returns at once."""
        if not self._stopped.done():
            self._stopped.set_result(ending)
            self._change(self.run, life="TERMINATING", message=ending.message)
            for key in self._stops:
                self.stop_task(key, ending)

    def leave(self) -> None:
        """End all its processes, but leave the run and its tasks as they are, to be continued later."""
        self._left = True
        self.stop(outcome.RESTARTED)

    def stop_task(self, key: str, ending: Outcome) -> None:
        """End one task; the tasks that need it are skipped."""
        if not self._stops[key].done():
            self._stops[key].set_result(ending)

    async def execute(self, turn: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the tasks, after ``turn`` (which waits for other runs of the same job)."""
        timer: asyncio.TimerHandle | None = None
        try:
            await self._wait_for_turn(turn)
            seconds = int(self.run.definition.get("timeout_seconds", 0))
            if seconds:
                timer = asyncio.get_running_loop().call_later(seconds, self.stop, outcome.timed_out(seconds))
            await asyncio.gather(*(self._execute_task(task) for task in self._tasks))
            ended = {key: future.result() for key, future in self._ended.items()}
            stopped = self._stopped.result() if self._stopped.done() else None
            self._end(self.run, stopped or outcome.of_run(self._tasks, ended, self.run.flat))
        except Exception:
            log.exception("run %s failed", self.run.run_id)
            self._end(self.run, outcome.WORKSPACE_FAILED)
        finally:
            if timer:
                timer.cancel()
            self.done.set()

    async def _wait_for_turn(self, turn: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await _unless(self._stopped, turn())
        except _StoppedError:
            return  # each task notices the stop itself
        if self.run.life == "QUEUED":
            self._change(self.run, life="PENDING")

    async def _execute_task(self, task: Task) -> None:
        ending = outcome.WORKSPACE_FAILED
        try:
            ending = await self._outcome_of(task)
        except _StoppedError as stopped:
            ending = stopped.outcome
        except Exception:
            log.exception("task %s of run %s failed", task.task_key, self.run.run_id)
        finally:
            self._end(self._latest[task.task_key], ending)
            self._ended[task.task_key].set_result(ending)

    async def _outcome_of(self, task: Task) -> Outcome:
        """Wait for the tasks before, then try until it succeeds or no retries are left."""
        stop = self._stops[task.task_key]
        if self._latest[task.task_key].active:  # false if it ended before a restart of the workspace
            before = [(await _unless(stop, _result(self._ended[key]))).result for key in task.upstream]
            skipped = outcome.not_run(task.run_if, before)
            if skipped:
                return skipped
        while True:
            attempt = self._latest[task.task_key]
            ending = await self._attempt(task) if attempt.active else outcome.of_ended(attempt)
            again = ending.result == "FAILED" or (ending.result == "TIMEDOUT" and task.retry_on_timeout)
            if not again or stop.done() or 0 <= task.max_retries <= attempt.attempt:
                return ending
            self._end(attempt, ending)
            await self._wait_for_retry(task, attempt)

    async def _wait_for_retry(self, task: Task, failed: Run) -> None:
        again = {"attempt": failed.attempt + 1, "life": "WAITING_FOR_RETRY"}
        attempt = task_run(self.run, failed.definition, self._store.new_id(), **again)
        self._store.add_run(attempt)
        self._latest[task.task_key] = attempt
        self._forget_attempts(task.task_key)
        await _unless(self._stops[task.task_key], asyncio.sleep(task.min_retry_interval_millis / 1000))

    def _forget_attempts(self, key: str) -> None:
        """Retries can be endless: only the first and the newest attempts at a task are kept."""
        attempts = [attempt for attempt in self._store.attempts(self.run.run_id) if attempt.task_key == key]
        for attempt in attempts[1:-_KEPT_ATTEMPTS]:
            self._store.delete_run(attempt.run_id)
            shutil.rmtree(self._directory(attempt), ignore_errors=True)

    async def _attempt(self, task: Task) -> Outcome:
        """One attempt at a task, once there is a free place for its process and the driver answers."""
        attempt, stop = self._latest[task.task_key], self._stops[task.task_key]
        self._change(attempt, life="PENDING")
        await _unless(stop, self._processes.slots.acquire())
        try:
            wrong = self._cannot_run(task)
            if wrong:
                return wrong
            lost = await _unless(stop, self._driver.available())
            if self.run.started is None:
                self._change(self.run, life="RUNNING", started=now())
            return await self._run_notebook(task, attempt, stop, lost)
        finally:
            self._processes.slots.release()

    def _cannot_run(self, task: Task) -> Outcome | None:
        named = task.existing_cluster_id
        if named and named != self._settings.cluster_id and self._settings.only_own_cluster:
            return outcome.no_cluster(named)
        if not self._tree.is_notebook(task.notebook.notebook_path):
            return outcome.no_notebook(task.notebook.notebook_path, self._settings.user)
        return None

    async def _run_notebook(
        self, task: Task, attempt: Run, stop: asyncio.Future[Outcome], lost: asyncio.Future[Outcome]
    ) -> Outcome:
        directory = self._directory(attempt)
        directory.mkdir(parents=True, exist_ok=True)
        declared = [JobParameter.model_validate(p) for p in self.run.definition.get("parameters", [])]
        of_job = job_parameters(declared, self.run.parameters.get("job_parameters", {}))
        self._change(attempt, resolved=notebook_parameters(task, self.run, attempt, of_job, self._values))
        document = self._document(task, attempt, directory)
        try:
            process = await self._processes.take(document)
        except OSError as error:
            return outcome.process_failed(f"The notebook process could not be started: {error}")
        self._change(attempt, life="RUNNING", started=now(), pid=process.pid, pid_started=process.started)
        try:
            status = await self._exit_status(task, process, stop, lost)
        except _StoppedError as stopped:
            self._change(attempt, life="TERMINATING", message=stopped.outcome.message)
            await process.stop()
            await cluster.close_sessions(self._settings, directory, document["session_id"])
            await self._keep_output(attempt, directory, {"error": stopped.outcome.message})
            return stopped.outcome
        # Also after success: notebooks that it ran in threads were killed with it.
        await cluster.close_sessions(self._settings, directory, *([document["session_id"]] if status else []))
        return await self._judge(attempt, directory, status, process.said)

    async def _exit_status(
        self, task: Task, process: NotebookProcess, stop: asyncio.Future[Outcome], lost: asyncio.Future[Outcome]
    ) -> int:
        try:
            async with asyncio.timeout(task.timeout_seconds or None):
                return await _unless(stop, process.wait(), lost)
        except TimeoutError:
            raise _StoppedError(outcome.timed_out(task.timeout_seconds)) from None

    async def _judge(self, attempt: Run, directory: Path, status: int, said: str) -> Outcome:
        """The outcome of a process that has exited, from its last event; without one it died."""
        result = await asyncio.to_thread(events.result, directory)
        if result is None:
            how = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
            error = f"The notebook process {how} before the notebook ended."
            await self._keep_output(attempt, directory, {"error": error, "error_trace": said or None})
            return outcome.process_failed(error)
        self._values[str(attempt.task_key)] = await asyncio.to_thread(events.task_values, directory)
        known = ("notebook_output", "error", "error_trace")
        await self._keep_output(attempt, directory, {name: result.get(name) for name in known})
        return outcome.SUCCESS if result.get("result_state") == "SUCCESS" else outcome.FAILED

    async def _keep_output(self, attempt: Run, directory: Path, output: dict[str, Any]) -> None:
        kept = {name: value for name, value in output.items() if value is not None}
        await asyncio.to_thread(self._store.keep_output, attempt.run_id, kept)

    def _document(self, task: Task, attempt: Run, directory: Path) -> dict[str, Any]:
        settings = self._settings
        return {
            "run_id": attempt.run_id,
            "job_id": attempt.job_id,
            "task_key": task.task_key,
            "notebook_path": self._tree.notebook_path(task.notebook.notebook_path),
            "workspace_root": str(self._tree.root),
            "parameters": attempt.resolved,
            "remote": settings.remote,
            "cluster_id": settings.cluster_id,
            "control_url": settings.control_url,
            "control_token": settings.control_token.get_secret_value(),
            "api_url": settings.url,
            "api_token": settings.token.get_secret_value(),
            "output": str(directory),
            "secrets": {s: {k: v.get_secret_value() for k, v in kv.items()} for s, kv in settings.secrets.items()},
            "user": settings.user,
            "task_values": self._values,
            "session_id": str(uuid.uuid4()),
        }

    def _directory(self, attempt: Run) -> Path:
        return self._settings.home / "runs" / str(attempt.run_id)

    def _change(self, run: Run, **changes: Any) -> None:
        if self._left:
            return
        for name, value in changes.items():
            setattr(run, name, value)
        self._store.save(run)

    def _end(self, run: Run, ending: Outcome) -> None:
        if run.active:
            self._change(run, **asdict(ending), ended=now())


def task_run(run: Run, definition: dict[str, Any], run_id: int, **values: Any) -> Run:
    """An attempt at a task of a run."""
    return Run(
        run_id=run_id,
        job_id=run.job_id,
        parent_id=run.run_id,
        task_key=definition["task_key"],
        name=run.name,
        kind=run.kind,
        definition=definition,
        **values,
    )


async def _result(future: asyncio.Future[T]) -> T:
    return await asyncio.shield(future)


async def _unless(stop: asyncio.Future[Outcome], work: Coroutine[Any, Any, T], *others: asyncio.Future[Outcome]) -> T:
    """The result of ``work``; raises _StoppedError if ``stop`` or one of the ``others`` comes first."""
    stops = (stop, *others)
    if any(stop.done() for stop in stops):
        work.close()
        raise _StoppedError(_first(stops))
    task = asyncio.ensure_future(work)
    try:
        waiting: tuple[asyncio.Future[Any], ...] = (task, *stops)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    if not task.cancelled():
        return task.result()  # also if it finished at the moment of the stop
    raise _StoppedError(_first(stops))


def _first(stops: Iterable[asyncio.Future[Outcome]]) -> Outcome:
    return next(stop.result() for stop in stops if stop.done())
