"""(e) Airflow: upload until a DAG can be triggered, and what a triggered DAG adds to the notebooks' own time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.e2e.orchestration import Orchestration
from tests.stack import TestStack

DAG = """
from datetime import datetime

from airflow import DAG
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

with DAG("bench", start_date=datetime(2026, 1, 1), schedule=None, catchup=False) as dag:
    DatabricksSubmitRunOperator(
        task_id="t", run_name="bench", existing_cluster_id="any", notebook_task={"notebook_path": "/Shared/bench"}
    )
"""


@dataclass(frozen=True)
class DagTime:
    """Seconds from trigger to the end of the DAG's run, and of the notebooks on the longest way through it."""

    whole: float
    notebooks: float


def until_triggerable(stack: TestStack, times: int = 3) -> list[float]:
    """Seconds from the upload of a DAG file, each time changed, until the API shows that its DAG was read again."""
    return sorted(Orchestration(stack).upload("bench.py", f"{DAG}# {'x' * number}\n") for number in range(times))


def short_notebook(stack: TestStack) -> DagTime:
    """A DAG of one task whose notebook sleeps 3 s."""
    airflow = Orchestration(stack)
    airflow.notebook("/Shared/bench", "import time; time.sleep(3)")
    _timed(airflow, "bench", "warm", ["bench"])
    return _timed(airflow, "bench", "r", ["bench"])


def batch(stack: TestStack) -> DagTime:
    """The batch DAG over what is in S3; the second run, after one that warms up."""
    stack.emulate("--count", "500", "--rate", "max")
    stack.pinflow("run-dag")
    return _timed(Orchestration(stack), f"{stack.profile.uid}_dag", "bench", ["load_", "questions"])


def _timed(airflow: Orchestration, dag_id: str, run_id: str, steps: list[str]) -> DagTime:
    before = {run["run_id"] for run in airflow.runs("")}
    began = time.monotonic()
    airflow.trigger(dag_id, run_id)
    state = airflow.ended(dag_id, run_id)
    whole = time.monotonic() - began
    if state != "success":
        raise RuntimeError(f"{dag_id}: {state}")
    runs = [run for run in airflow.runs("") if run["run_id"] not in before]
    notebooks = 0.0
    for step in steps:
        times = [(run["start_time"], run["end_time"]) for run in runs if step in run["run_name"]]
        notebooks += (max(end for _, end in times) - min(start for start, _ in times)) / 1000
    return DagTime(whole, notebooks)
