from airflow import DAG
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator
from airflow.utils.dates import days_ago

with DAG("people_days_ago", start_date=days_ago(2), schedule_interval=None) as dag:
    DatabricksSubmitRunOperator(
        task_id="submit_run",
        existing_cluster_id="1108-162752-8okw8dgg",
        notebook_task={"notebook_path": "/Users/local@pinflow/people/hello"},
    )
