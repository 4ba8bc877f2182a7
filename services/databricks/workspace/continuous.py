"""Continuous jobs: one run is always active; a new one starts when it ends, after failures with growing waits.

https://docs.databricks.com/jobs/continuous. Databricks' own waits are not documented; after a success the next run
starts there within a minute, here after a second.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from foundation import supervised
from services.databricks.driver_lost import STOPPED
from services.databricks.workspace.api import parse
from services.databricks.workspace.definitions import JobSettings
from services.databricks.workspace.runs import Request, Runs
from services.databricks.workspace.store import Run, Store, now

# Seconds. After the first failure the wait is that after a success; each further failure doubles it.
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
# A run that lasted this long was healthy: earlier failures do not count any more. Nor does the loss of the driver, and
# the next run waits for the next driver.
_HEALTHY = 60_000  # milliseconds
# A job that fails all night must not push every other run out of the workspace's history.
_KEPT_RUNS = 50


class ContinuousJobs:
    """Ensures that each job with `continuous` that is not paused has a run. Used in the event loop's thread only."""

    def __init__(self, runs: Runs, store: Store) -> None:
        self._runs, self._store = runs, store
        self._failures: Counter[int] = Counter()
        self._due: dict[int, asyncio.TimerHandle] = {}
        runs.on_end = self._ended

    def open(self) -> None:
        """Start what was running when the workspace stopped."""
        for job in self._store.jobs(None, -1, 0, None):
            self._keep(job.job_id)

    def close(self) -> None:
        """Start nothing more."""
        self._runs.on_end = lambda run: None
        for timer in self._due.values():
            timer.cancel()

    def ensure_run(self, job_id: int) -> None:
        """Start a run of the job if it should have one and has none. Call it after each change of the job."""
        settings = self._settings(job_id)
        if settings is not None and not self._runs.is_active(job_id):
            self._runs.start(Request(settings, settings.name, job_id=job_id, trigger="CONTINUOUS"))
            self._runs.forget_all_but(job_id, _KEPT_RUNS)
        # Not earlier: after a failure the timer tries again.
        if timer := self._due.pop(job_id, None):
            timer.cancel()
        supervised.recovered(_loop(job_id))

    def _keep(self, job_id: int) -> None:
        """`ensure_run` without a caller who could handle a failure: it is reported, and retried."""
        with supervised.turn(_loop(job_id)):
            self.ensure_run(job_id)
        if supervised.is_failing(_loop(job_id)):
            self._keep_in(FIRST_WAIT, job_id)

    def _keep_in(self, seconds: float, job_id: int) -> None:
        self._due[job_id] = asyncio.get_running_loop().call_later(seconds, self._keep, job_id)

    def _ended(self, run: Run) -> None:
        wanted = True  # until `_keep` has found out
        with supervised.turn(_loop(run.job_id)):
            wanted = self._settings(run.job_id) is not None
        if not wanted:
            self._failures.pop(run.job_id, None)
            return
        if (
            run.result in ("SUCCESS", "CANCELED")
            or STOPPED in run.message
            or now() - (run.started or now()) >= _HEALTHY
        ):
            self._failures[run.job_id] = 0
        else:
            self._failures[run.job_id] += 1
        doublings = min(max(0, self._failures[run.job_id] - 1), 10)
        self._keep_in(min(FIRST_WAIT * 2**doublings, LONGEST_WAIT), run.job_id)

    def _settings(self, job_id: int) -> JobSettings | None:
        """The settings of a job that is to run continuously."""
        job = self._store.job(job_id)
        if job is None or job.settings.get("continuous", {}).get("pause_status") != "UNPAUSED":
            return None
        return parse(JobSettings, job.settings)


def _loop(job_id: int) -> str:
    return f"continuous job {job_id}"
