"""The daily batch run: load and clean the tables side by side, then ask the questions.

MWAA and the local Airflow read this same file, in 3.x and 2.11; it imports nothing of the rest of the repository. What
differs from one place to another is set by Airflow Variables (Admin, Variables):

pinterest_uid           12 hexadecimal digits: they name the DAG, the bucket and the tables
pinterest_bucket        where the sink connector writes
pinterest_cluster_id    the Databricks cluster
pinterest_notebooks     the folder of the notebooks in the workspace
pinterest_retry_delay   seconds between two attempts
"""

import hashlib
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Variable
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

UID = Variable.get("pinterest_uid", "0a1b2c3d4e5f")
BUCKET = Variable.get("pinterest_bucket", f"user-{UID}-bucket")
CLUSTER_ID = Variable.get("pinterest_cluster_id", "0000-000000-pinflow0")
NOTEBOOKS = Variable.get("pinterest_notebooks", "/Users/local@pinflow/pinflow/notebooks")
RETRY_DELAY = int(Variable.get("pinterest_retry_delay", 120))
TABLES = ("pin", "geo", "user")

log = logging.getLogger(__name__)


def own_dag():
    """Return the file beside this one that defines `<uid>_dag`, or None. A project's own DAG takes that name.

    Two files with one DAG id would replace each other in Airflow again and again. The id is found as people write it:
    in DAG(…), @dag(…), dag_id=… or a constant such as DAG_ID, in full or as f"{UID}_dag" in a file that has the uid.
    """
    place = r"(?:\bdag\(|\bdag_id\s*=|^\w*dag\w*\s*=)"
    written = re.compile(place + rf"""\s*f?["'](?:{UID}|\{{\w+\}})_dag["']""", re.IGNORECASE | re.MULTILINE)
    here = Path(__file__)
    for file in sorted(here.parent.rglob("*.py")):
        if file == here or not file.is_file():
            continue
        text = re.sub(r"^\s*#.*", "", file.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)
        if UID in text and re.search(r"\bDAG\(|@dag\b", text) and written.search(text):
            return file
    return None


def find_lost_run(context):
    """Before a second attempt: follow the run that an earlier attempt left on Databricks, if one is active.

    A killed Airflow leaves the notebook running and retries the task: two runs would write the same tables. Databricks
    answers a submission whose token it knows with the run of that token. So the runs of a task have numbered tokens,
    and number n + 1 is only submitted after run n has ended.
    """
    task, tried = context["task"], context["ti"].try_number
    hook = DatabricksHook(task.databricks_conn_id)
    for number in range(1, tried):
        task.json["idempotency_token"] = token(context, number)
        run_id = hook.submit_run(task.json)
        if not hook.get_run_state(run_id).is_terminal:
            log.warning("following run %s, which an earlier attempt left: %s", run_id, hook.get_run_page_url(run_id))
            return
    task.json["idempotency_token"] = token(context, tried)


def token(context, number):
    """Return 64 characters, the most that Databricks accepts, for one run of a task in one run of the DAG.

    A DAG run that is deleted and triggered again under its old name has another start time, and so other tokens.
    """
    run = context["dag_run"]
    name = f"{DAG_ID} {context['task'].task_id} {run.run_id} {run.start_date.timestamp()} {number}"
    return hashlib.sha256(name.encode()).hexdigest()


def log_run_page(context):
    """Log the page of the failed run, which shows its cells and errors."""
    instance = context["ti"]
    page = instance.xcom_pull(task_ids=instance.task_id, key="run_page_url")
    log.error("%s failed; its cells and errors: %s", instance.task_id, page or "no run was submitted")


def run_notebook(task_id, name, **parameters):
    """A task that runs the notebook of that name on the cluster."""
    return DatabricksSubmitRunOperator(
        task_id=task_id,
        run_name=f"{DAG_ID}.{task_id} {{{{ run_id }}}}",
        existing_cluster_id=CLUSTER_ID,
        notebook_task={
            "notebook_path": f"{NOTEBOOKS}/{name}",
            "base_parameters": {"uid": UID, "bucket": BUCKET, **parameters},
        },
    )


OWN_DAG = own_dag()
DAG_ID = f"{UID}_pinflow" if OWN_DAG else f"{UID}_dag"

with DAG(
    dag_id=DAG_ID,
    description="S3 to cleaned tables and answers",
    schedule=None if OWN_DAG else "@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "databricks_conn_id": "databricks_default",
        "retries": 2,
        "retry_delay": timedelta(seconds=RETRY_DELAY),
        "pre_execute": find_lost_run,
        "on_failure_callback": log_run_page,
    },
    tags=["pinterest"],
) as dag:
    loads = [run_notebook(f"load_{table}", "load", table=table) for table in TABLES]
    loads >> run_notebook("questions", "questions")
