# The form of most public projects, with the Airflow 3 way of saying the schedule.
from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

notebook_task = {"notebook_path": "/Users/local@pinflow/people/hello"}

default_args = {
    "owner": "someone",
    "depends_on_past": False,
    "email": [],
    "email_on_failure": False,
    "email_on_retry": False,
    "retries": 1,
    "retry_delay": timedelta(minutes=2),
}

with DAG(
    "people_flat",
    start_date=datetime(2023, 9, 1),
    schedule="@daily",
    catchup=False,
    default_args=default_args,
) as dag:
    opr_submit_run = DatabricksSubmitRunOperator(
        task_id="submit_run",
        databricks_conn_id="databricks_default",
        existing_cluster_id="1108-162752-8okw8dgg",
        notebook_task=notebook_task,
    )
    opr_submit_run
