"""Airflow's own hook for a place's policies: `task_policy` is called for every task of every DAG that is parsed.

On one machine a notebook takes seconds, and the Databricks operators look only every 30 (some every 5): here they look
every second. A DAG that says another period keeps it.
"""

from typing import Any

OPERATORS_DEFAULTS = (5, 30)
LOCAL = 1


def task_policy(task: Any) -> None:
    if getattr(task, "polling_period_seconds", None) in OPERATORS_DEFAULTS:
        task.polling_period_seconds = LOCAL
