"""The batch path as MWAA drives it: a DAG file in the bucket, triggered through boto3, notebooks on Databricks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests import oracle
from tests.e2e.conftest import post
from tests.e2e.orchestration import Orchestration
from tests.e2e.test_batch_path import ANSWERS, KINDS, sent_rows
from tests.servers.waiting import wait_for
from tests.stack import TestStack

PEOPLE = Path(__file__).parents[1] / "contract" / "airflow" / "dags"
FOLDER = "/Users/local@pinflow/people"
LOADS = ("load_pin", "load_geo", "load_user")
DAG = """
from datetime import datetime, timedelta
from airflow import DAG
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

with DAG("{name}", start_date=datetime(2026, 1, 1), schedule=None, catchup=False) as dag:
    DatabricksSubmitRunOperator(
        task_id="t", run_name="{name}", existing_cluster_id="any", notebook_task={{"notebook_path": "{folder}/{name}"}},
        retries={retries}, retry_delay=timedelta(seconds=1),
    )
"""


@pytest.fixture(scope="module", params=["3.2.1", pytest.param("2.11.2", marks=pytest.mark.long)])
def airflow(request: pytest.FixtureRequest) -> Iterator[Orchestration]:
    """A stack with posts in S3 and that version of Airflow; that of the profile is the one of all other tests."""
    if request.param == "3.2.1":
        yield Orchestration(request.getfixturevalue("posted"))
        return
    stack = TestStack.create("e2e-airflow2")
    text = stack.profile.path.read_text().replace("version: 3.2.1", f"version: {request.param}")
    stack.profile.path.write_text(text)
    stack = stack.reloaded()
    try:
        stack.pinflow("up")
        yield Orchestration(post(stack))
    finally:
        stack.pinflow("reset", "--yes")


def assert_tables_are_right(stack: TestStack) -> None:
    source = list(sent_rows(stack).values())
    expected = oracle.tables(*source) | oracle.answers(*source)
    for name in (*KINDS, *ANSWERS):
        actual = stack.table(name)
        rows = sorted(actual, key=lambda row: row[0]) if name in KINDS else actual
        assert expected[name]
        assert not oracle.compare(expected[name], rows), name


def hello(airflow: Orchestration) -> None:
    airflow.notebook(f"{FOLDER}/hello", "print('hello')")


def test_run_dag_shows_the_tasks_and_leaves_the_right_tables(airflow: Orchestration) -> None:
    done = airflow.stack.pinflow("run-dag")
    for task in (*LOADS, "questions"):
        assert f"{task:<12} success after" in done.stderr
    assert f"page: {airflow.stack.profile.airflow.url}" in done.stderr
    assert_tables_are_right(airflow.stack)


def test_two_runs_triggered_through_boto3_at_the_same_time_leave_the_right_tables(airflow: Orchestration) -> None:
    dag_id = f"{airflow.stack.profile.uid}_dag"
    for run_id in ("first", "second"):
        airflow.trigger(dag_id, run_id)
    assert [airflow.ended(dag_id, run_id, 240) for run_id in ("first", "second")] == ["success", "success"]
    for run_id in ("first", "second"):
        runs = airflow.runs(f" {run_id}")
        assert sorted(run["run_name"] for run in runs) == sorted(
            f"{dag_id}.{task} {run_id}" for task in (*LOADS, "questions")
        )
    assert_tables_are_right(airflow.stack)


def test_a_dag_can_be_triggered_seconds_after_its_upload_and_a_short_notebook_ends_soon(airflow: Orchestration) -> None:
    hello(airflow)
    seconds = airflow.upload("short.py", DAG.format(name="short", folder=FOLDER, retries=0).replace("/short", "/hello"))
    began = time.monotonic()
    airflow.trigger("short", "r")
    assert airflow.ended("short", "r") == "success"
    assert seconds < 60, "4 s on a machine that does nothing else; Airflow's own default is up to five minutes"
    assert time.monotonic() - began < 28, "the operator's own polling alone would take 30 s"


def test_airflow_adds_at_most_two_seconds_to_each_task(airflow: Orchestration) -> None:
    """Of a processor that the task has to itself: a machine that has more to do takes as much longer."""
    if airflow_2(airflow):
        pytest.skip("Airflow 2 starts an interpreter for each task on SQLite, which takes longer than that")
    hello(airflow)
    lines = DAG.format(name="chain", folder=FOLDER, retries=0).replace("/chain", "/hello").splitlines()
    start = next(number for number, line in enumerate(lines) if "DatabricksSubmitRunOperator(" in line)
    lines[start:] = [
        "    last = None",
        "    for number in range(5):",
        "        task = DatabricksSubmitRunOperator(",
        "            task_id=f't{number}', run_name=f'chain{number}', existing_cluster_id='any',",
        f"            notebook_task={{'notebook_path': '{FOLDER}/hello'}}, polling_period_seconds=15,",
        "        )",
        "        last and last >> task",
        "        last = task",
    ]
    airflow.upload("chain.py", "\n".join(lines) + "\n")
    began = time.monotonic()
    airflow.trigger("chain", "r")
    assert airflow.ended("chain", "r") == "success"
    whole = time.monotonic() - began
    runs = airflow.runs("chain")
    assert len(runs) == 5
    notebooks = sum(run["end_time"] - run["start_time"] for run in runs) / 1000
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert (whole - notebooks) / 5 < 2 * crowd


def test_a_failing_notebook_fails_its_task_with_its_message_and_is_tried_again(airflow: Orchestration) -> None:
    airflow.notebook(f"{FOLDER}/fails", "raise ValueError('boom 17')")
    airflow.upload("fails.py", DAG.format(name="fails", folder=FOLDER, retries=1))
    done = airflow.stack.pinflow("run-dag", "fails", check=False)
    assert done.returncode == 1
    assert "up_for_retry" in done.stderr
    assert "Traceback" not in done.stderr
    run_id = done.stderr.partition("fails: run ")[2].partition(",")[0]
    assert airflow.tasks("fails", run_id)["t"]["try_number"] == 2
    assert len(airflow.runs("fails")) == 2
    for tried in (1, 2):
        assert "boom 17" in airflow.log("fails", run_id, "t", tried)
    shown = airflow.stack.pinflow("status", check=False)
    assert shown.returncode == 1
    assert f"fails: run {run_id} failed: t (try 2)" in shown.stderr
    airflow.forget("fails")  # other tests' `make status` would fail of it
    assert airflow.stack.pinflow("status").returncode == 0


def test_cancelling_a_task_cancels_its_run(airflow: Orchestration) -> None:
    airflow.notebook(f"{FOLDER}/slow", "import time; time.sleep(300)")
    airflow.upload("slow.py", DAG.format(name="slow", folder=FOLDER, retries=0))
    airflow.trigger("slow", "r")
    wait_for("the run on Databricks", lambda: airflow.runs("slow") and "RUNNING" in str(airflow.runs("slow")[-1]))
    body = {"new_state": "failed"} | ({"dry_run": False} if airflow_2(airflow) else {})
    airflow.call("PATCH", "/dags/slow/dagRuns/r/taskInstances/t", body)
    wait_for("the run's end", lambda: airflow.runs("slow")[-1]["state"].get("result_state") == "CANCELED")
    assert airflow.ended("slow", "r") == "failed"
    airflow.forget("slow")


@pytest.mark.long
def test_airflow_killed_in_mid_run_tries_again_and_never_runs_a_notebook_twice_at_once(
    airflow: Orchestration,
) -> None:
    dag_id, stack = f"{airflow.stack.profile.uid}_dag", airflow.stack
    airflow.trigger(dag_id, "killed")
    wait_for("a run on Databricks", lambda: "RUNNING" in str([r["state"] for r in airflow.runs(" killed")]))
    service = psutil.Process(stack.pid("airflow"))
    survivors = service.children(recursive=True)
    os.kill(service.pid, signal.SIGKILL)
    assert airflow.ended(dag_id, "killed", 300) == "success"
    assert not [process for process in survivors if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for task in (*LOADS, "questions"):
        runs = [run for run in airflow.runs(" killed") if f".{task} " in run["run_name"]]
        assert runs[-1]["state"]["result_state"] == "SUCCESS"
        assert all(earlier["end_time"] <= later["start_time"] for earlier, later in pairwise(runs))
    assert_tables_are_right(stack)


def test_dags_as_people_write_them_run(airflow: Orchestration) -> None:
    airflow.notebook(f"{FOLDER}/hello", "dbutils.widgets.text('name', '')", "print(dbutils.widgets.get('name'))")
    job = {"name": "people", "tasks": [{"task_key": "only", "notebook_task": {"notebook_path": f"{FOLDER}/hello"}}]}
    airflow.databricks("POST", "2.1/jobs/create", json=job)
    files = list((PEOPLE / "either").glob("*.py"))
    if airflow_2(airflow):
        files += (PEOPLE / "airflow2").glob("*.py")
    for file in files:
        airflow.upload(file.name, file.read_text())
    dags = [dag["dag_id"] for dag in airflow.call("GET", "/dags")["dags"] if dag["dag_id"].startswith("people")]
    assert len(dags) == (5 if airflow_2(airflow) else 3)
    for dag_id in dags:
        airflow.trigger(dag_id, "r")
    assert {dag_id: airflow.ended(dag_id, "r", 240) for dag_id in dags} == dict.fromkeys(dags, "success")


def test_an_import_error_shows_in_status_and_says_what_to_change(airflow: Orchestration) -> None:
    old = (PEOPLE / "airflow2" / "schedule_interval.py").read_text().replace("people_", "broken_")
    airflow.upload("broken.py", old.replace("schedule_interval=", "schedul=") if airflow_2(airflow) else old)
    done = airflow.stack.pinflow("status", check=False)
    assert "airflow: broken.py:" in done.stdout
    assert "unexpected keyword argument" in done.stdout
    if not airflow_2(airflow):
        assert "schedule_interval is called schedule" in done.stdout
    airflow.stack.client("s3").delete_object(Bucket=airflow.stack.profile.storage.dag_bucket, Key="dags/broken.py")
    wait_for("its error gone", lambda: not airflow.call("GET", "/importErrors")["import_errors"])


def airflow_2(airflow: Orchestration) -> bool:
    return airflow.stack.profile.airflow.version.startswith("2")
