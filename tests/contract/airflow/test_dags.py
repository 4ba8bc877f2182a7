"""The DAG files as each Airflow reads them: no import error, no cycle, and just these tasks with these parameters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation.dag_bucket import FOLDER
from foundation.mwaa import explained
from tests.contract.airflow.conftest import Installed

HERE = Path(__file__).resolve().parent
Read = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def read(installed: Installed) -> Read:
    """Reads a folder with one version of Airflow."""

    def run(folder: Path, **variables: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(installed.run(HERE / "describe.py", str(folder), **variables))
        return document | {"version": installed.version}

    return run


def task(name: str, after: list[str], notebook: str, **parameters: str) -> dict[str, Any]:
    uid = "0a1b2c3d4e5f"
    return {
        "type": "DatabricksSubmitRunOperator",
        "after": after,
        "retries": 2,
        "retry_delay": 120.0,
        "connection": "databricks_default",
        "polling": 30,
        "json": {
            "run_name": f"{uid}_dag.{name} {{{{ run_id }}}}",
            "existing_cluster_id": "0000-000000-pinflow0",
            "notebook_task": {
                "notebook_path": f"/Users/local@pinflow/pinflow/notebooks/{notebook}",
                "base_parameters": {"uid": uid, "bucket": f"user-{uid}-bucket", **parameters},
            },
        },
    }


LOADS = ["load_geo", "load_pin", "load_user"]


def test_the_dags_are_just_these(read: Read) -> None:
    found = read(FOLDER / "dags")
    assert found["errors"] == {}
    assert found["dags"]["0a1b2c3d4e5f_dag"] == {
        "daily": True,
        "catchup": False,
        "max_active_runs": 1,
        "tasks": {
            **{name: task(name, [], "load", table=name.removeprefix("load_")) for name in LOADS},
            "questions": task("questions", LOADS, "questions"),
        },
    }
    small = found["dags"]["0a1b2c3d4e5f_small"]
    assert list(small["tasks"]) == ["submit_run"]
    assert small["tasks"]["submit_run"]["retry_delay"] == 120.0
    submitted = small["tasks"]["submit_run"]["json"]
    assert submitted["notebook_task"] == {
        "notebook_path": "/Users/local@pinflow/pinflow/notebooks/everything",
        "base_parameters": {"uid": "0a1b2c3d4e5f", "bucket": "user-0a1b2c3d4e5f-bucket"},
    }
    assert len(found["dags"]) == 2


def test_airflow_variables_change_what_they_name(read: Read) -> None:
    variables = {
        "UID": "ffffffffffff", "CLUSTER_ID": "other", "NOTEBOOKS": "/Shared/n", "RETRY_DELAY": "7", "BUCKET": "mine",
    }  # fmt: skip
    found = read(FOLDER / "dags", **{f"AIRFLOW_VAR_PINTEREST_{name}": value for name, value in variables.items()})
    pin = found["dags"]["ffffffffffff_dag"]["tasks"]["load_pin"]
    assert pin["retry_delay"] == 7.0
    assert pin["json"] == {
        "run_name": "ffffffffffff_dag.load_pin {{ run_id }}",
        "existing_cluster_id": "other",
        "notebook_task": {
            "notebook_path": "/Shared/n/load",
            "base_parameters": {"uid": "ffffffffffff", "bucket": "mine", "table": "pin"},
        },
    }
    small = found["dags"]["ffffffffffff_small"]["tasks"]["submit_run"]
    assert small["retry_delay"] == 7.0
    assert small["json"]["existing_cluster_id"] == "other"
    assert small["json"]["notebook_task"] == {
        "notebook_path": "/Shared/n/everything",
        "base_parameters": {"uid": "ffffffffffff", "bucket": "mine"},
    }


def test_dags_as_people_write_them_are_read_by_the_version_that_they_were_written_for(read: Read) -> None:
    either = read(HERE / "dags" / "either")
    assert either["errors"] == {}
    assert set(either["dags"]) == {"people_flat", "people_json", "people_run_now"}
    old = read(HERE / "dags" / "airflow2")
    if old["version"].startswith("2"):
        assert set(old["dags"]) == {"people_schedule_interval", "people_days_ago"}
    else:
        assert "called schedule" in explained(old["errors"]["schedule_interval.py"])
        assert "days_ago is gone" in explained(old["errors"]["days_ago.py"])


OWN = """
from datetime import datetime
from airflow import DAG
UID = "0a1b2c3d4e5f"
{before}
with DAG({dag_id}, start_date=datetime(2026, 1, 1), schedule=None, catchup=False) as dag:
    pass
"""


@pytest.mark.parametrize(
    ("before", "dag_id"),
    [
        ("", '"0a1b2c3d4e5f_dag"'),
        ("", "\n    dag_id='0a1b2c3d4e5f_dag'"),
        ("", 'f"{UID}_dag"'),
        ("DAG_ID = '0a1b2c3d4e5f_dag'", "DAG_ID"),
    ],
)
def test_a_project_that_brings_its_own_batch_dag_has_the_name(
    read: Read, tmp_path: Path, before: str, dag_id: str
) -> None:
    shutil.copytree(FOLDER / "dags", tmp_path, dirs_exist_ok=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_pipeline.py").write_text(OWN.format(before=before, dag_id=dag_id))
    found = read(tmp_path)
    assert found["errors"] == {}
    assert found["dags"]["0a1b2c3d4e5f_dag"]["tasks"] == {}
    ours = found["dags"]["0a1b2c3d4e5f_pinflow"]
    assert not ours["daily"]
    assert ours["tasks"]["load_pin"]["json"]["run_name"] == "0a1b2c3d4e5f_pinflow.load_pin {{ run_id }}"


@pytest.mark.parametrize(
    "line",
    [
        "TriggerDagRunOperator(task_id='t', trigger_dag_id='0a1b2c3d4e5f_dag')",
        "DAG('0a1b2c3d4e5f_dag_2')",
        "DAG('ffffffffffff_dag')",
        "# takes over from 0a1b2c3d4e5f_dag",
    ],
)
def test_a_file_that_only_names_the_batch_dag_does_not_take_its_name(read: Read, tmp_path: Path, line: str) -> None:
    shutil.copytree(FOLDER / "dags", tmp_path, dirs_exist_ok=True)
    (tmp_path / "names_it.py").write_text(f"# not read by Airflow\nif False:\n    {line}\n")
    assert "0a1b2c3d4e5f_dag" in read(tmp_path)["dags"]
