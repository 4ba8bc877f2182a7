"""Runs and jobs in the form of the Jobs API. All versions get the same fields, so `state` and 2.2's `status`."""

from __future__ import annotations

from typing import Any

from services.databricks.workspace import auth
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.store import Job, Run, Store, now

# States that have another name in RunStatus than in RunState.
_STATUS = {"SKIPPED": "TERMINATED", "INTERNAL_ERROR": "TERMINATED", "WAITING_FOR_RETRY": "WAITING"}
_CLIENT_ERRORS = ("RUN_EXECUTION_ERROR", "RESOURCE_NOT_FOUND", "MAX_CONCURRENT_RUNS_EXCEEDED", "CLUSTER_ERROR")


def run_metadata(run: Run, settings: Settings, store: Store, with_tasks: bool = True) -> dict[str, Any]:
    """A run as `runs/get` answers it; of a task run, that task run as the metadata of its output."""
    if run.parent_id is not None:
        of_task = [each for each in store.attempts(run.parent_id) if each.task_key == run.task_key]
        shown = {**_task(run, settings), "job_id": run.job_id, "run_type": run.kind, "run_name": run.name}
        return {**shown, "original_attempt_run_id": of_task[0].run_id}
    tasks = store.tasks(run.run_id)
    shown = {
        "job_id": run.job_id,
        "run_id": run.run_id,
        "job_run_id": run.run_id,
        "number_in_job": run.run_id,
        "original_attempt_run_id": run.run_id,
        "run_name": run.name,
        "run_type": run.kind,
        "trigger": run.definition.get("trigger", "ONE_TIME"),
        "format": "SINGLE_TASK" if run.flat else "MULTI_TASK",
        "creator_user_name": settings.user,
        "run_page_url": auth.url(settings, f"runs/{run.run_id}"),
        "start_time": run.submitted,
        "attempt_number": 0,
        **_states(run),
        **_durations(run),
    }
    if run.parameters.get("notebook_params"):
        shown["overriding_parameters"] = {"notebook_params": run.parameters["notebook_params"]}
    given = run.parameters.get("job_parameters", {})
    if run.definition["parameters"] or given:
        defaults = {parameter["name"]: parameter["default"] for parameter in run.definition["parameters"]}
        shown["job_parameters"] = [
            {"name": name, "default": defaults.get(name, ""), "value": given.get(name, defaults.get(name, ""))}
            for name in {**defaults, **given}
        ]
    if run.flat:
        task = tasks[0]
        shown["attempt_number"] = task.attempt
        shown["task"] = {"notebook_task": task.definition["notebook_task"]}
        shown["cluster_spec"] = {
            k: v for k, v in task.definition.items() if k in ("existing_cluster_id", "new_cluster")
        }
        shown["cluster_instance"] = _cluster_instance(settings)
        shown |= _durations(task)
    if with_tasks:
        # One entry per attempt, as on Databricks: https://github.com/apache/airflow/pull/72313
        attempts = store.attempts(run.run_id)
        in_order = (each for task in tasks for each in attempts if each.task_key == task.task_key)
        shown["tasks"] = [_task(attempt, settings) for attempt in in_order]
    return shown


def job_details(job: Job, settings: Settings, with_tasks: bool = True) -> dict[str, Any]:
    """A job as `jobs/get` and `jobs/list` answer it."""
    hidden = () if with_tasks else ("tasks", "job_clusters", "parameters")
    return {
        "job_id": job.job_id,
        "creator_user_name": settings.user,
        "run_as_user_name": settings.user,
        "created_time": job.created,
        "settings": {
            "email_notifications": {},
            **{name: value for name, value in job.settings.items() if name not in hidden},
            "format": "MULTI_TASK" if "tasks" in job.settings else "SINGLE_TASK",
        },
    }


def _task(run: Run, settings: Settings) -> dict[str, Any]:
    return {
        **run.definition,
        "run_id": run.run_id,
        "attempt_number": run.attempt,
        "start_time": run.started or run.submitted,
        "cluster_instance": _cluster_instance(settings),
        "run_page_url": auth.url(settings, f"runs/{run.run_id}"),
        **_states(run),
        **_durations(run),
    }


def _cluster_instance(settings: Settings) -> dict[str, str]:
    return {"cluster_id": settings.cluster_id, "spark_context_id": settings.cluster_id}


def _states(run: Run) -> dict[str, Any]:
    state: dict[str, Any] = {
        "life_cycle_state": run.life,
        "state_message": run.message,
        "user_cancelled_or_timedout": run.result in ("CANCELED", "TIMEDOUT"),
    }
    status: dict[str, Any] = {"state": _STATUS.get(run.life, run.life)}
    if run.result:
        state["result_state"] = run.result
        client = run.code in _CLIENT_ERRORS
        kind = "SUCCESS" if run.code in ("SUCCESS", "USER_CANCELED") else "CLIENT_ERROR" if client else "INTERNAL_ERROR"
        status["termination_details"] = {"code": run.code, "type": kind, "message": run.message}
    return {"state": state, "status": status}


def _durations(run: Run) -> dict[str, int]:
    """Milliseconds: setup is the wait for a free place, execution the rest."""
    until = run.ended or now()
    began = run.started or until
    durations = {
        "setup_duration": began - run.submitted,
        "execution_duration": until - began,
        "cleanup_duration": 0,
        "run_duration": until - run.submitted,
        "queue_duration": 0,
    }
    return durations | ({"end_time": run.ended} if run.ended else {})
