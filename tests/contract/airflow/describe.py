"""`<Airflow's python> describe.py FOLDER`: what Airflow reads from a folder of DAGs, as JSON."""

import json
import logging
import sys

logging.disable(logging.CRITICAL)
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 2
    from airflow.models.dagbag import DagBag


def describe(task):
    found = {
        "after": sorted(task.upstream_task_ids),
        "retries": task.retries,
        "retry_delay": task.retry_delay.total_seconds(),
        "connection": getattr(task, "databricks_conn_id", None),
        "polling": getattr(task, "polling_period_seconds", None),
    }
    return {"type": type(task).__name__, **found, "json": getattr(task, "json", None)}


def schedule(dag):
    """Airflow 3 keeps what was written, Airflow 2 its cron expression; a DAG without a schedule has neither."""
    return getattr(dag.timetable, "expression", None) or getattr(dag.timetable, "summary", None)


bag = DagBag(sys.argv[1], include_examples=False)
dags = {
    dag.dag_id: {
        "daily": schedule(dag) in ("@daily", "0 0 * * *"),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "tasks": {task.task_id: describe(task) for task in dag.tasks},
    }
    for dag in bag.dags.values()
}
errors = {file.rpartition("/")[2]: text for file, text in bag.import_errors.items()}
print("\n" + json.dumps({"dags": dags, "errors": errors}))
