"""The smallest form: one task, one notebook that does it all. The same Airflow Variables as pinterest_dag.py."""

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Variable
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

UID = Variable.get("pinterest_uid", "0a1b2c3d4e5f")

with DAG(
    dag_id=f"{UID}_small",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=int(Variable.get("pinterest_retry_delay", 120))),
    },
    tags=["pinterest"],
) as dag:
    DatabricksSubmitRunOperator(
        task_id="submit_run",
        databricks_conn_id="databricks_default",
        existing_cluster_id=Variable.get("pinterest_cluster_id", "0000-000000-pinflow0"),
        notebook_task={
            "notebook_path": Variable.get("pinterest_notebooks", "/Users/local@pinflow/pinflow/notebooks")
            + "/everything",
            "base_parameters": {"uid": UID, "bucket": Variable.get("pinterest_bucket", f"user-{UID}-bucket")},
        },
    )
