"""Everything that reaches into the insides of Airflow. tests/canaries/test_airflow.py fails by name on an upgrade.

Airflow imports for seconds and takes some 200 MB a process. Its four processes share that memory when they are forked
from one that has imported it; `airflow standalone` starts each as a program of its own, leaves processes behind and
restarts none: it is meant for a terminal, and no upstream issue asks for more. Can go when 0.8 GB do not matter.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import os
import sys
from typing import Any

PRELOADED = (
    "airflow.api_fastapi.main",
    "airflow.dag_processing.manager",
    "airflow.executors.local_executor",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.providers.databricks.operators.databricks",
    "airflow.sdk.execution_time.task_runner",
)
OLD = os.environ.get("AIRFLOW_VERSION", "").startswith("2")
# Airflow 2 brings gunicorn, which must be its own program; macOS does not allow a fork to use its networking.
FORKS = not OLD and sys.platform == "linux"


def preload() -> None:
    """Import what the processes have in common, before they are forked."""
    if FORKS:
        commit_the_audit_log_in_a_thread()
    for module in PRELOADED if FORKS else ():
        importlib.import_module(module)
    gc.freeze()  # the collector would write to every page, and none would be shared any more


def commit_the_audit_log_in_a_thread() -> None:
    """Keep the API's event loop free while the audit log waits for SQLite; before the routes are imported.

    Airflow 3 commits each entry on the loop itself. While another request holds SQLite's lock, and needs the loop for
    its own commit, neither continues: after 5 s the entry fails, status 500, "database is locked". Upstream there is a
    report of another route (apache/airflow, issue 66726). Can go when `log_action` is no coroutine any more.
    """
    from airflow.api_fastapi.logging import decorators

    original = decorators.action_logging

    def action_logging(event: str | None = None) -> Any:
        log_action = original(event)

        @functools.wraps(log_action)
        async def in_a_thread(request: Any, **others: Any) -> None:
            await request.body()  # which the request keeps: in the thread nothing waits for this loop
            await asyncio.to_thread(asyncio.run, log_action(request=request, **others))

        return in_a_thread

    decorators.action_logging = action_logging


def write_configuration() -> None:
    """Write airflow.cfg with its random keys, and use them, before anything forks.

    Since Airflow 3 only its command does this, in a process of its own: what is forked from this one would have no key
    at the first start, and keep connections unencrypted.
    """
    if FORKS:
        from airflow.configuration import write_default_airflow_configuration_if_needed

        write_default_airflow_configuration_if_needed()


def become(*arguments: str) -> None:
    """Become `airflow …`: in this very process where Airflow is imported already."""
    if not FORKS:
        os.execv(sys.executable, [sys.executable, "-m", "airflow", *arguments])
    from airflow.__main__ import main
    from setproctitle import setproctitle

    setproctitle(f"airflow {arguments[0]}")
    sys.argv = ["airflow", *arguments]
    main()
