"""What the Airflow service is started with, what is installed for it, what goes into its bucket."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foundation import environment
from foundation.dag_bucket import files
from foundation.databricks import SPARK_FOLDER
from foundation.errors import PinflowError
from foundation.mwaa import explained
from foundation.profile import ROOT, Profile, load
from pinflow import install
from services.airflow import native
from services.airflow.config.airflow_local_settings import task_policy
from services.airflow.requirements import differences
from services.airflow.sync import sync

CANARY = "c4nary-T0ken"


def draft(directory: Path, old: str, new: str) -> Profile:
    file = directory / "draft.yaml"
    text = (ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return load(str(file))


def test_tokens_and_keys_are_in_the_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINFLOW_DATABRICKS_TOKEN", CANARY)
    monkeypatch.setenv("PINFLOW_AWS_SECRET_ACCESS_KEY", CANARY)
    command = native.command(load("local"))
    assert CANARY not in " ".join(command.arguments)
    workspace = json.loads(command.environment["AIRFLOW_CONN_DATABRICKS_DEFAULT"])
    assert workspace == {
        "conn_type": "databricks", "schema": "http", "host": "127.0.0.1", "port": 8180, "password": CANARY,
    }  # fmt: skip
    assert command.environment["AWS_SECRET_ACCESS_KEY"] == CANARY


def test_bucket_and_addresses_are_the_profile_s(tmp_path: Path) -> None:
    profile = draft(tmp_path, "dag_bucket: mwaa-dags-bucket", "dag_bucket: of-mine")
    variables = native.command(profile).environment
    assert variables["MWAA_BUCKET"] == "of-mine"
    assert json.loads(variables["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]["endpoint_url"] == profile.aws.endpoint_url
    assert variables["AIRFLOW_VAR_PINTEREST_UID"] == profile.uid


def test_the_old_version_has_its_own_interpreter_directory_and_executor(tmp_path: Path) -> None:
    new = native.command(load("local"))
    old = native.command(draft(tmp_path, "version: 3.2.1", "version: 2.11.2"))
    assert ("airflow-3.2.1" in new.arguments[0], "airflow-2.11.2" in old.arguments[0]) == (True, True)
    assert new.directory != old.directory
    assert new.environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert old.environment["AIRFLOW__CORE__EXECUTOR"] == "SequentialExecutor"
    assert old.environment["MWAA_AIRFLOW_API"].endswith("/api/v1")


def test_an_airflow_elsewhere_cannot_be_started_here(tmp_path: Path) -> None:
    profile = draft(tmp_path, "url: http://127.0.0.1:8080", "url: https://x.airflow.amazonaws.com")
    with pytest.raises(PinflowError, match=r"airflow\.url: https://x\.airflow\.amazonaws\.com is not an address"):
        native.SERVICE.ports(profile)


def test_the_dag_looks_for_the_notebooks_where_they_are_put() -> None:
    user = environment.read("databricks")["WORKSPACE_USER"]
    notebooks = environment.read("airflow")["AIRFLOW_VAR_PINTEREST_NOTEBOOKS"]
    assert notebooks == f"/Users/{user}/{SPARK_FOLDER}/notebooks"


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("airflow:\n  version: 3.2.1\nstack:\n  services: [mysql, airflow]\n", ["airflow-3.2.1"]),
        ("airflow:\n  version: '2.11.2'\nstack:\n  services:\n  - airflow\n", ["airflow-2.11.2"]),
        ("airflow:\n  version: 2.11.2\nstack:\n  directory: airflow\n  services: [mysql]\n", []),
        ("airflow:\n  version: 3.2.1\nstack: null\n", []),
    ],
)
def test_only_the_version_that_the_profile_starts_is_installed(
    tmp_path: Path, profile: str, expected: list[str]
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(profile)
    assert install.chosen(str(file)) == expected


def test_the_dags_and_the_requirements_go_into_the_bucket_and_nothing_else() -> None:
    found = files()
    assert {"dags/pinterest_dag.py", "dags/pinterest_smallest_dag.py", "requirements.txt"} <= set(found)
    assert all(key.startswith("dags/") or key == "requirements.txt" for key in found)


def test_requirements_are_compared_with_what_is_installed() -> None:
    environment_of_tests = ROOT / ".pinflow" / "envs" / "tool"
    text = (
        "--constraint https://example.org/constraints.txt\n\n# a comment\nboto3>=1  # any\nPytest==0.1\nno-such-thing\n"
        "not a requirement\nnumpy==0; python_version < '3'\n"
    )
    wrong = differences(text, environment_of_tests)
    assert [line.partition(":")[0] for line in wrong] == ["line 5", "line 6", "line 7"]
    assert "Pytest==0.1: version" in wrong[0]
    assert "no-such-thing is not installed" in wrong[1]


def test_a_notebook_s_end_is_seen_within_a_second_whatever_the_dag_says() -> None:
    periods = []
    for period in (30, 5, 12, 1, 0.5):
        task: Any = SimpleNamespace(polling_period_seconds=period)
        task_policy(task)
        periods.append(task.polling_period_seconds)
    assert periods == [1, 1, 1, 1, 0.5]
    task_policy(SimpleNamespace())  # an operator without one


def test_what_airflow_3_took_away_isexplained() -> None:
    told = explained("Traceback …\nTypeError: DAG.__init__() got an unexpected keyword argument 'schedule_interval'")
    assert "called schedule" in told
    assert "2.11.2" in told
    assert explained("ZeroDivisionError: division by zero") == "ZeroDivisionError: division by zero"


class Bucket:
    """The two calls of an S3 client that the sync makes."""

    def __init__(self, objects: dict[str, str]) -> None:
        self.objects = objects
        self.fetched: list[str] = []

    def get_paginator(self, name: str) -> Bucket:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": k, "ETag": v} for k, v in self.objects.items() if k.startswith(Prefix)]}]

    def download_file(self, bucket: str, key: str, target: str) -> None:
        self.fetched.append(key)
        Path(target).write_text(self.objects[key])


def test_the_folder_follows_the_bucket(tmp_path: Path) -> None:
    s3 = Bucket({"dags/a.py": "1", "dags/sub/b.py": "2", "requirements.txt": "3"})
    have = sync(s3, "b", tmp_path, {})
    assert {f.relative_to(tmp_path).as_posix(): f.read_text() for f in tmp_path.rglob("*.py")} == {
        "a.py": "1", "sub/b.py": "2",
    }  # fmt: skip
    s3.objects, s3.fetched = {"dags/a.py": "1", "dags/c.py": "4"}, []
    sync(s3, "b", tmp_path, have)
    assert s3.fetched == ["dags/c.py"]
    assert sorted(f.name for f in tmp_path.rglob("*.py")) == ["a.py", "c.py"]
