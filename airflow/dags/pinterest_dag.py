"""The daily batch run: load and clean the three tables side by side, then ask the questions.

MWAA and the local Airflow read this same file, in 3.x and 2.11; it imports nothing of the rest of the repository. What
differs from one place to another are Airflow Variables (Admin, Variables):

pinterest_uid           12 hexadecimal digits: they name the DAG, the bucket and the tables
pinterest_bucket        where the sink connector writes
pinterest_cluster_id    the Databricks cluster
pinterest_notebooks     the folder of the notebooks in the workspace
pinterest_retry_delay   seconds between two tries
"""

import logging
import time
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Variable
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

UID = Variable.get("pinterest_uid", "0a1b2c3d4e5f")
BUCKET = Variable.get("pinterest_bucket", f"user-{UID}-bucket")
CLUSTER_ID = Variable.get("pinterest_cluster_id", "0000-000000-pinflow0")
NOTEBOOKS = Variable.get("pinterest_notebooks", "/Users/local@pinflow/pinflow/notebooks")
RETRY_DELAY = int(Variable.get("pinterest_retry_delay", 120))

log = logging.getLogger(__name__)


def end_lost_runs(context):
    """Cancel what an earlier try has left on Databricks, and wait for its end.

    Airflow that is killed leaves the notebook running and tries again: two runs would write the same tables.
    """
    hook = DatabricksHook(context["task"].databricks_conn_id)
    active = hook._do_api_call(("GET", "2.1/jobs/runs/list"), {"active_only": "true", "limit": 25})
    name = context["task"].json["run_name"]
    for run in (run for run in active.get("runs", []) if run["run_name"] == name):
        log.warning("an earlier try left run %s behind, it is cancelled: %s", run["run_id"], run["run_page_url"])
        hook.cancel_run(run["run_id"])
        while not hook.get_run_state(run["run_id"]).is_terminal:
            time.sleep(1)


def tell_page(context):
    """The task has failed for good: say where its cells and errors are to be seen."""
    instance = context["ti"]
    page = instance.xcom_pull(task_ids=instance.task_id, key="run_page_url")
    log.error("%s failed; its cells and errors: %s", instance.task_id, page or "no run was submitted")


def notebook(name):
    """A task that runs the notebook of that name on the cluster."""
    return DatabricksSubmitRunOperator(
        task_id=name,
        run_name=f"{UID}_dag.{name} {{{{ run_id }}}}",
        existing_cluster_id=CLUSTER_ID,
        notebook_task={
            "notebook_path": f"{NOTEBOOKS}/{name}",
            "base_parameters": {"uid": UID, "bucket": BUCKET},
        },
    )


with DAG(
    dag_id=f"{UID}_dag",
    description="S3 to cleaned tables and answers",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "databricks_conn_id": "databricks_default",
        "retries": 2,
        "retry_delay": timedelta(seconds=RETRY_DELAY),
        "pre_execute": end_lost_runs,
        "on_failure_callback": tell_page,
    },
    tags=["pinterest"],
) as dag:
    [notebook("load_pin"), notebook("load_geo"), notebook("load_user")] >> notebook("questions")
