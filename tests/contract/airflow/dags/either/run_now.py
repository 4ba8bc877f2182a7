# A job that exists in the workspace, by its name, with notebook_params.
from datetime import datetime

from airflow import DAG
from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator

with DAG("people_run_now", start_date=datetime(2023, 9, 1), schedule=None, catchup=False) as dag:
    DatabricksRunNowOperator(task_id="run_now", job_name="people", notebook_params={"name": "from Airflow"})
