"""A task that Airflow lost and tries again: never two of its runs at once on Databricks, and none that did not run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from foundation.dag_bucket import FOLDER
from tests.contract.airflow.conftest import Installed
from tests.contract.workspace.conftest import TOKEN, Service, ended, notebook

SCRIPT = Path(__file__).with_name("one_try.py")
DAG = FOLDER / "dags" / "pinterest_dag.py"
MORNING, NOON = "2026-02-01T06:00:00+00:00", "2026-02-01T12:00:00+00:00"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("workspace") / "home")
    made.start()
    yield made
    made.stop()


class Tries:
    """Tries of the task load_pin, and what became of them on Databricks."""

    def __init__(self, installed: Installed, workspace: Service) -> None:
        split = urlsplit(workspace.url)
        connection = {"conn_type": "databricks", "schema": "http", "host": split.hostname, "port": split.port}
        variables = {
            "AIRFLOW_CONN_DATABRICKS_DEFAULT": json.dumps(connection | {"password": TOKEN}),
            "AIRFLOW_VAR_PINTEREST_NOTEBOOKS": "/Users/local@pinflow",
        }
        self.airflow = installed.start(SCRIPT, str(DAG), "load_pin", **variables)
        self.client = workspace.client
        self.run_id = ""

    def submitted_by(self, tried: int, start: str) -> int:
        """The run that a try would follow."""
        assert self.airflow.stdin and self.airflow.stdout and self.airflow.stderr
        print(self.run_id, tried, start, file=self.airflow.stdin, flush=True)
        for line in self.airflow.stdout:
            if line.startswith("run "):
                return int(line.split()[1])
        raise AssertionError(self.airflow.stderr.read())

    def cancel_all(self) -> None:
        for run in list(self.client.jobs.list_runs(active_only=True)):
            self.client.jobs.cancel_run(run.run_id)

    def runs(self) -> dict[int, str]:
        """The task's runs, oldest first, and the life cycle of each."""
        name = f"0a1b2c3d4e5f_dag.load_pin {self.run_id}"
        listed = sorted(self.client.jobs.list_runs(), key=lambda run: run.run_id)
        return {run.run_id: run.state.life_cycle_state.value for run in listed if run.run_name == name}


@pytest.fixture(scope="module")
def airflow(installed: Installed, workspace: Service) -> Iterator[Tries]:
    made = Tries(installed, workspace)
    yield made
    made.airflow.communicate()


@pytest.fixture
def tries(airflow: Tries, request: pytest.FixtureRequest) -> Iterator[Tries]:
    airflow.run_id = request.node.name
    yield airflow
    airflow.cancel_all()


def test_a_run_that_is_left_is_followed_however_many_others_are_active(tries: Tries) -> None:
    path: Any = notebook(tries.client, "load", "sleep 300")
    left = tries.submitted_by(1, MORNING)
    document = {"existing_cluster_id": "any", "notebook_task": {"notebook_path": path}, "run_name": "another's"}
    for _ in range(30):
        tries.client.api_client.do("POST", "/api/2.2/jobs/runs/submit", body=document)
    assert tries.submitted_by(2, MORNING) == left
    assert tries.submitted_by(3, MORNING) == left
    assert list(tries.runs()) == [left]


def test_a_run_that_has_ended_is_not_taken_for_the_next_try_s(tries: Tries) -> None:
    notebook(tries.client, "load", "fail at once")
    failed = tries.submitted_by(1, MORNING)
    ended(tries.client, failed)
    notebook(tries.client, "load", "sleep 300")
    again = tries.submitted_by(2, MORNING)
    assert again != failed
    assert tries.submitted_by(3, MORNING) == again
    assert list(tries.runs()) == [failed, again]


def test_tries_that_submitted_nothing_leave_one_run(tries: Tries) -> None:
    notebook(tries.client, "load", "sleep 300")
    assert list(tries.runs()) == []
    third = tries.submitted_by(3, MORNING)
    assert list(tries.runs()) == [third]


def test_a_task_that_is_cleared_and_a_run_of_the_same_name_run_again(tries: Tries) -> None:
    notebook(tries.client, "load", "print done")
    seen = [tries.submitted_by(1, MORNING)]
    for tried, start in ((2, MORNING), (1, NOON)):  # cleared; then deleted and triggered again under its old name
        ended(tries.client, seen[-1])
        seen.append(tries.submitted_by(tried, start))
    assert list(tries.runs()) == seen
    assert len(set(seen)) == 3
