"""The parameters of a task run's notebook: defaults, the run's own values, and `{{…}}` references filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.databricks.workspace.definitions import JobParameter, Task
from services.databricks.workspace.store import Run

_REFERENCE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


def job_parameters(declared: list[JobParameter], given: Mapping[str, str]) -> dict[str, str]:
    """A run's job parameters: its own values over the job's defaults."""
    return {parameter.name: parameter.default for parameter in declared} | dict(given)


def notebook_parameters(
    task: Task, run: Run, attempt: Run, of_job: Mapping[str, str], task_values: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """The values for the notebook's widgets: `notebook_params` replace base parameters, job parameters replace both.

    ``task_values`` is what earlier tasks of the run set (task key → key → value). Unknown references stay unchanged, as
    on Databricks.
    """
    known = _references(run, attempt, of_job)
    for task_key, values in task_values.items():
        for name, given in values.items():
            text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
            known[f"tasks.{task_key}.values.{name}"] = text
    chosen = {**task.notebook.base_parameters, **run.parameters.get("notebook_params", {}), **of_job}

    def value(match: re.Match[str]) -> str:
        return known.get(match.group(1), match.group(0))

    return {name: _REFERENCE.sub(value, text) for name, text in chosen.items()}


def _references(run: Run, attempt: Run, of_job: Mapping[str, str]) -> dict[str, str]:
    """https://docs.databricks.com/jobs/dynamic-value-references, and the older names without a dot."""
    began = datetime.fromtimestamp(run.submitted / 1000, UTC)
    task_key = attempt.task_key or ""
    known = {
        "job.id": str(run.job_id),
        "job.name": run.name,
        "job.run_id": str(run.run_id),
        "job.repair_count": "0",
        "job.trigger.type": str(run.definition.get("trigger", "ONE_TIME")).lower(),
        "task.name": task_key,
        "task.run_id": str(attempt.run_id),
        "task.execution_count": str(attempt.attempt + 1),
        "task.notebook_path": attempt.definition["notebook_task"]["notebook_path"],
        "job_id": str(run.job_id),
        "run_id": str(attempt.run_id),
        "parent_run_id": str(run.run_id),
        "task_key": task_key,
        "task_retry_count": str(attempt.attempt),
        "start_date": began.date().isoformat(),
        "start_time": str(run.submitted),
    }
    parts = {"iso_date": "%Y-%m-%d", "iso_datetime": "%Y-%m-%dT%H:%M:%S", "iso_weekday": "%u"}
    numbers = ("year", "month", "day", "hour", "minute", "second")
    for prefix in ("job.start_time", "job.trigger.time"):
        known |= {f"{prefix}.{name}": began.strftime(form) for name, form in parts.items()}
        known |= {f"{prefix}.{name}": str(getattr(began, name)) for name in numbers}
        known[f"{prefix}.timestamp_ms"] = str(run.submitted)
        known[f"{prefix}.is_weekday"] = str(began.isoweekday() <= 5).lower()
    return known | {f"job.parameters.{name}": text for name, text in of_job.items()}
