# As the course writes it, for Airflow 2.
from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

notebook_task = {"notebook_path": "/Users/local@pinflow/people/hello"}
notebook_params = {"Variable": 5}

with DAG(
    "people_schedule_interval",
    start_date=datetime(2023, 9, 1),
    schedule_interval="@daily",
    catchup=False,
    default_args={"owner": "someone", "retries": 1, "retry_delay": timedelta(minutes=2)},
) as dag:
    DatabricksSubmitRunOperator(
        task_id="submit_run",
        databricks_conn_id="databricks_default",
        existing_cluster_id="1108-162752-8okw8dgg",
        notebook_task=notebook_task,
    )
