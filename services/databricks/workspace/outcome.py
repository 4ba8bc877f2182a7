"""How runs end: which tasks still run after others have ended, and what a run's result is.

Rules: https://docs.databricks.com/jobs/run-if (conditions, excluded tasks) and the Jobs API's RunState.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.databricks.driver_lost import MESSAGE
from services.databricks.workspace.definitions import RunIf, Task
from services.databricks.workspace.store import Run

# Results of tasks that never ran because of the tasks before them.
SKIPPED = ("UPSTREAM_FAILED", "UPSTREAM_CANCELED", "EXCLUDED")
_SUCCEEDED = ("SUCCESS", "EXCLUDED")
_FAILED = ("FAILED", "TIMEDOUT", "UPSTREAM_FAILED")
_CANCELED = ("CANCELED", "UPSTREAM_CANCELED")


@dataclass(frozen=True)
class Outcome:
    """The end of a run or task run: RunLifeCycleState, RunResultState, TerminationCode and message."""

    life: str
    result: str
    code: str
    message: str = ""


SUCCESS = Outcome("TERMINATED", "SUCCESS", "SUCCESS")
CANCELED = Outcome("TERMINATED", "CANCELED", "USER_CANCELED", "Run cancelled.")
FAILED = Outcome("TERMINATED", "FAILED", "RUN_EXECUTION_ERROR", "Workload failed, see run output for details")
WORKSPACE_FAILED = Outcome("INTERNAL_ERROR", "FAILED", "INTERNAL_ERROR", "See the workspace's log.")
RESTARTED = Outcome(
    "INTERNAL_ERROR",
    "FAILED",
    "INTERNAL_ERROR",
    "The run was cut off: the workspace was restarted while the run was going on. Submit it again.",
)
AT_THE_LIMIT = Outcome(
    "SKIPPED",
    "MAXIMUM_CONCURRENT_RUNS_REACHED",
    "MAX_CONCURRENT_RUNS_EXCEEDED",
    "The job has as many active runs as its max_concurrent_runs allows.",
)


def of_ended(run: Run) -> Outcome:
    """The outcome of a run or task run that has ended."""
    return Outcome(run.life, str(run.result), str(run.code), run.message)


def process_failed(message: str) -> Outcome:
    """The end of a task whose notebook process did not start, or died."""
    return Outcome("INTERNAL_ERROR", "FAILED", "DRIVER_ERROR", message)


def driver_lost(remote: str) -> Outcome:
    """The end of a run whose Spark driver is gone."""
    return process_failed(MESSAGE.format(remote=remote, where="while this run was going on"))


def timed_out(seconds: int) -> Outcome:
    """The end of a run that took longer than its ``timeout_seconds``."""
    return Outcome("TERMINATED", "TIMEDOUT", "CANCELED", f"Run timed out after {seconds} seconds.")


def no_notebook(path: str, user: str) -> Outcome:
    """The end of a task whose notebook does not exist, in Databricks' words."""
    return Outcome(
        "INTERNAL_ERROR",
        "FAILED",
        "RESOURCE_NOT_FOUND",
        f'Unable to access the notebook "{path}" in the workspace. Either it does not exist, or the identity used to '
        f"run this job, {user}, lacks the required permissions.",
    )


def no_cluster(cluster_id: str) -> Outcome:
    """The end of a task that names a cluster that does not exist, in Databricks' words."""
    message = f"Run executed on existing cluster ID {cluster_id} failed since the cluster does not exist."
    return Outcome("INTERNAL_ERROR", "FAILED", "CLUSTER_ERROR", message)


def not_run(run_if: RunIf, upstream: Collection[str]) -> Outcome | None:
    """Why a task does not run after those results of its upstream tasks; None if it does."""
    if not upstream:
        return None
    if all(result == "EXCLUDED" for result in upstream):
        return _excluded("All upstream tasks were excluded.")
    failed = any(result in _FAILED for result in upstream)
    canceled = any(result in _CANCELED for result in upstream)
    succeeded = [result in _SUCCEEDED for result in upstream]
    if run_if in ("ALL_SUCCESS", "NONE_FAILED"):
        if failed:
            return Outcome("SKIPPED", "UPSTREAM_FAILED", "SKIPPED", "An upstream task failed.")
        if canceled:
            return Outcome("SKIPPED", "UPSTREAM_CANCELED", "SKIPPED", "An upstream task was canceled.")
    fulfilled = {
        "ALL_SUCCESS": all(succeeded),
        "NONE_FAILED": not failed,
        "AT_LEAST_ONE_SUCCESS": any(succeeded),
        "ALL_DONE": True,
        "AT_LEAST_ONE_FAILED": failed,
        "ALL_FAILED": all(result in _FAILED for result in upstream),
    }[run_if]
    return None if fulfilled else _excluded(f"The condition {run_if} on the upstream tasks was not met.")


def of_run(tasks: Collection[Task], outcomes: Mapping[str, Outcome], flat: bool) -> Outcome:
    """The end of a run whose tasks have all ended; the leaves (tasks that none depends on) decide.

    A flat run is its one task, so it ends as that does.
    """
    needed = {key for task in tasks for key in task.upstream}
    leaves = [outcomes[task.task_key].result for task in tasks if task.task_key not in needed]
    failed = [task for task in tasks if outcomes[task.task_key].result in ("FAILED", "TIMEDOUT")]
    if any(result in _FAILED for result in leaves):
        return _failed(failed[0], outcomes, needed, flat)
    if any(result in _CANCELED for result in leaves):
        return CANCELED
    if failed:
        return Outcome("TERMINATED", "SUCCESS_WITH_FAILURES", "SUCCESS_WITH_FAILURES")
    return SUCCESS


def _failed(task: Task, outcomes: Mapping[str, Outcome], needed: Collection[str], flat: bool) -> Outcome:
    first = outcomes[task.task_key]
    # A run with a failed task is INTERNAL_ERROR on Databricks, where the task itself is TERMINATED.
    life = "TERMINATED" if flat and first.result == "TIMEDOUT" else "INTERNAL_ERROR"
    if flat:
        return Outcome(life, first.result, first.code, first.message)
    message = f"Task {task.task_key} failed with message: {first.message.removesuffix('.')}."
    if task.task_key in needed and any(outcome.result == "UPSTREAM_FAILED" for outcome in outcomes.values()):
        message += " This caused all downstream tasks to get skipped."
    return Outcome(life, "FAILED", first.code, message)


def _excluded(message: str) -> Outcome:
    return Outcome("SKIPPED", "EXCLUDED", "SKIPPED", message)
