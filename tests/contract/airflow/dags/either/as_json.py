# json=, a new cluster, parameters; several tasks in one run; a task after it.
from datetime import datetime

from airflow import DAG
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

new_cluster = {"spark_version": "14.3.x-scala2.12", "node_type_id": "r5.large", "num_workers": 1}

with DAG("people_json", start_date=datetime.now(), schedule=None, catchup=False) as dag:
    one = DatabricksSubmitRunOperator(
        task_id="new_cluster",
        json={
            "new_cluster": new_cluster,
            "notebook_task": {
                "notebook_path": "/Users/local@pinflow/people/hello",
                "base_parameters": {"name": "{{ ds }}"},
            },
        },
    )
    several = DatabricksSubmitRunOperator(
        task_id="several_tasks",
        tasks=[
            {
                "task_key": key,
                "existing_cluster_id": "1108-162752-8okw8dgg",
                "notebook_task": {"notebook_path": "/Users/local@pinflow/people/hello"},
                "depends_on": [{"task_key": before} for before in after],
            }
            for key, after in (("first", []), ("second", ["first"]))
        ],
    )
    one >> several
