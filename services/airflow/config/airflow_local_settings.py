"""Airflow's own hook for local policies: `task_policy` is called for every task of every DAG that is parsed.

On one machine a notebook takes seconds, and the Databricks operators poll every 30 (some every 5), or as often as the
DAG says: here they poll every second, or more often where the DAG says so.
"""

from typing import Any

LONGEST = 1


def task_policy(task: Any) -> None:
    period = getattr(task, "polling_period_seconds", None)
    if isinstance(period, int | float) and period > LONGEST:
        task.polling_period_seconds = LONGEST
