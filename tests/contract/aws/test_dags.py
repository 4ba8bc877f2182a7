"""`make deploy-dags` and `make run-dag`: what they wait for and how they end, through MWAA's door and moto's S3."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from foundation.aws import client
from foundation.mwaa import AirflowError, Mwaa
from foundation.profile import Profile, load
from pinflow import airflow as dags
from pinflow.account import Account
from pinflow.batch import Result
from pinflow.cli import cli, demo, status
from pinflow.stack.health import Health
from services.airflow.native import remark
from tests.contract.aws.conftest import REGION, write_profile
from tests.contract.aws.mwaa import TASK, Airflow

ON_DISK = "/usr/local/airflow/dags"
BROKEN = {"filename": "team/broken.py", "stack_trace": "NameError: name 'x' is not defined"}


@pytest.fixture
def profile(airflow: Airflow, moto: str, as_person: pytest.MonkeyPatch, tmp_path: Path) -> Profile:
    """A profile with an empty DAG bucket, and an airflow/ with the batch DAG and a team's own; no wait takes long."""
    folder = tmp_path / "airflow" / "dags"
    (folder / "team").mkdir(parents=True)
    for file in (folder / "pinterest_dag.py", folder / "team" / "broken.py"):
        file.write_text("from airflow import DAG\n")
    as_person.setattr("foundation.dag_bucket.FOLDER", folder.parent)
    as_person.setattr("pinflow.airflow._SETTLED", 0.0)
    as_person.setattr("pinflow.airflow._PARSED_ON_AWS_WITHIN", 1.0)
    made = write_profile(tmp_path / "dags.yaml", moto, airflow__endpoint_url=airflow.url)
    place: Any = {"LocationConstraint": REGION}
    client(made, "s3").create_bucket(Bucket=made.storage.dag_bucket, CreateBucketConfiguration=place)
    return made


def on_disk(document: dict[str, str]) -> dict[str, str]:
    """A DAG or an import error as Airflow 2 names its file."""
    key, name = ("filename", "filename") if "filename" in document else ("relative_fileloc", "fileloc")
    return {**{k: v for k, v in document.items() if k != key}, name: f"{ON_DISK}/{document[key]}"}


@pytest.mark.parametrize("version", ["3.2.1", "2.11.2"])
def test_an_import_error_in_a_folder_of_the_dags_ends_the_deployment(
    profile: Profile, airflow: Airflow, version: str
) -> None:
    airflow.errors = [BROKEN]
    if version.startswith("2"):
        airflow.errors, airflow.dags = [on_disk(BROKEN)], [on_disk(dag) for dag in airflow.dags]
    with pytest.raises(AirflowError, match=r"^team/broken\.py: NameError"):
        dags.deploy(profile, lambda line: None)


@pytest.mark.parametrize("version", ["3.2.1", "2.11.2"])
def test_a_dag_in_a_folder_is_waited_for_until_it_is_read(profile: Profile, airflow: Airflow, version: str) -> None:
    airflow.dags.append({"dag_id": "team", "relative_fileloc": "team/broken.py"})
    if version.startswith("2"):
        airflow.dags = [on_disk(dag) for dag in airflow.dags]
    said: list[str] = []
    dags.deploy(profile, said.append)
    assert [line.split(",")[0] for line in said[-2:]] == [
        "pinterest_dag.py can be triggered",
        "team can be triggered",
    ]


def test_a_batch_dag_that_is_not_seen_in_time_is_an_error(profile: Profile, airflow: Airflow) -> None:
    airflow.dags = []
    with pytest.raises(AirflowError, match=r"no DAG of pinterest_dag\.py, team/broken\.py after \d+ s"):
        dags.deploy(profile, lambda line: None)


def test_a_file_that_makes_no_dag_is_said_and_is_no_error(profile: Profile) -> None:
    said: list[str] = []
    dags.deploy(profile, said.append)
    assert re.fullmatch(r"Airflow shows no DAG of team/broken\.py after \d+ s: make status", said[-1])


def with_version(profile: Profile, version: str) -> Profile:
    return profile.model_copy(update={"airflow": profile.airflow.model_copy(update={"version": version})})


@pytest.mark.parametrize(("version", "longest"), [("3.2.1", 34), ("2.11.2", 35)])
@pytest.mark.parametrize("dag_id", ["short", "pinterest_smallest_dag", "longest"])
def test_a_run_is_followed_to_its_end_also_where_the_id_of_its_dag_is_long(
    profile: Profile, airflow: Airflow, dag_id: str, version: str, longest: int
) -> None:
    profile, dag_id = with_version(profile, version), dag_id.replace("longest", "d" * longest)
    airflow.dags = [{"dag_id": dag_id, "relative_fileloc": "x.py"}]
    said: list[str] = []
    run = dags.run(profile, dag_id, said.append)
    assert airflow.runs == [(dag_id, run.run_id)]
    assert "only         success" in said[-1]


@pytest.mark.parametrize(("version", "longest"), [("3.2.1", 34), ("2.11.2", 35)])
def test_a_dag_whose_run_could_not_be_followed_is_not_triggered(
    profile: Profile, airflow: Airflow, version: str, longest: int
) -> None:
    dag_id = "d" * (longest + 1)
    airflow.dags = [{"dag_id": dag_id, "relative_fileloc": "x.py"}]
    with pytest.raises(AirflowError, match="MWAA takes paths of 64 characters") as caught:
        dags.run(with_version(profile, version), dag_id, lambda line: None)
    assert f"{longest} characters at most" in caught.value.fix
    assert {method for method, _ in airflow.calls} == {"GET"}


MANY = 250
"""More than two pages."""


def test_every_dag_and_every_import_error_is_listed(profile: Profile, airflow: Airflow) -> None:
    airflow.dags = [{"dag_id": f"d{number}", "relative_fileloc": "x.py"} for number in range(MANY)]
    airflow.errors = [{"filename": f"e{number}.py", "stack_trace": "NameError"} for number in range(MANY)]
    mwaa = Mwaa(profile)
    assert set(mwaa.dags()) == {f"d{number}" for number in range(MANY)}
    assert len(set(mwaa.import_errors())) == MANY


@pytest.mark.parametrize("version", ["3.2.1", "2.11.2"])
def test_every_task_of_a_run_is_said(profile: Profile, airflow: Airflow, version: str) -> None:
    airflow.dags = [{"dag_id": "wide", "relative_fileloc": "x.py"}]
    airflow.tasks = [{**TASK, "task_id": f"t{number}"} for number in range(MANY)]
    said: list[str] = []
    dags.run(with_version(profile, version), "wide", said.append)
    assert len([line for line in said if " success after " in line]) == MANY


@pytest.mark.parametrize("version", ["3.2.1", "2.11.2"])
def test_a_dag_whose_latest_run_failed_is_named_with_its_tasks(
    profile: Profile, airflow: Airflow, version: str
) -> None:
    profile, said = with_version(profile, version), list[str]()
    assert not dags.report_failed_runs(profile, said.append)
    airflow.state = "failed"
    airflow.tasks = [{**TASK, "task_id": "load", "state": "failed", "try_number": 3}, {**TASK, "task_id": "fine"}]
    airflow.dags = [{"dag_id": name, "relative_fileloc": "x.py"} for name in ("mine", "never_ran", "d" * 60)]
    airflow.runs = [("mine", "early"), ("mine", "late")]
    assert dags.report_failed_runs(profile, said.append)
    (line,) = said
    assert line.startswith("mine: run late failed: load (try 3)\n  → its tasks and logs: ")
    assert "late" in line.partition("→")[2]


def test_a_run_that_airflow_no_longer_knows_is_lost(profile: Profile, airflow: Airflow) -> None:
    airflow.dags = [{"dag_id": "mine", "relative_fileloc": "x.py"}]
    airflow.tasks, airflow.state = [{**TASK, "state": "running"}], "running"

    def forget(line: str) -> None:
        if "running after" in line:
            airflow.runs.clear()

    with pytest.raises(AirflowError, match=r"^mine: run now-\d+ is lost: "):
        dags.run(profile, "mine", forget)


def test_an_airflow_that_is_restarted_is_waited_for(profile: Profile, airflow: Airflow) -> None:
    airflow.dags = [{"dag_id": "mine", "relative_fileloc": "x.py"}]
    airflow.tasks, airflow.state = [{**TASK, "state": "running"}], "running"
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "running after" in line:
            airflow.away = True
        if "waiting for it" in line:
            airflow.away, airflow.state, airflow.tasks = False, "success", [TASK]

    dags.run(profile, "mine", say)
    assert "success after" in said[-1]
    assert len([line for line in said if "waiting for it" in line]) == 1


@pytest.fixture
def own(profile: Profile, airflow: Airflow) -> str:
    """A project's file defines `<uid>_dag`; what is said of it."""
    named, other = f"{profile.uid}_dag", f"{profile.uid}_pinflow"
    airflow.dags = [
        {"dag_id": named, "relative_fileloc": "mine/pipeline.py"},
        {"dag_id": other, "relative_fileloc": "pinterest_dag.py"},
    ]
    return f"mine/pipeline.py defines {named}; the one of pinterest_dag.py is called {other}"


@pytest.mark.parametrize("version", ["3.2.1", "2.11.2"])
def test_status_says_whose_the_batch_dag_s_name_is(profile: Profile, airflow: Airflow, own: str, version: str) -> None:
    profile = with_version(profile, version)
    if version.startswith("2"):
        airflow.dags = [on_disk(dag) for dag in airflow.dags]
    assert remark(profile) == own
    airflow.dags = [{"dag_id": f"{profile.uid}_dag", "relative_fileloc": "pinterest_dag.py"}]
    assert remark(profile) == ""


def test_run_dag_runs_the_project_s_own_batch_dag(profile: Profile, airflow: Airflow, own: str) -> None:
    result = CliRunner().invoke(cli, ["--profile", str(profile.path), "run-dag"])
    assert result.exit_code == 0, result.exception
    assert own in result.output
    assert [dag_id for dag_id, _ in airflow.runs] == [f"{profile.uid}_dag"]


def test_the_demo_s_batch_does_without_airflow_where_the_batch_dag_is_the_project_s_own(
    profile: Profile, own: str, as_person: pytest.MonkeyPatch
) -> None:
    def result(profile: Profile, say: Any) -> Result:
        return Result({}, {}, "a page")

    unneeded = ("cli.run_module", "cli._require_account", "stack.runtime.up", "account.waiting.until_landed")
    for name in (*unneeded, "report.places", "report.comparison"):
        as_person.setattr(f"pinflow.{name}", lambda *arguments: None)
    as_person.setattr("pinflow.status.streams", lambda profile, say: True)
    for name in ("start", "compare"):
        as_person.setattr(f"pinflow.stream.{name}", lambda *arguments: {})
    as_person.setattr("pinflow.batch.run", result)
    here = profile.model_copy(update={"stack": load("local").stack})
    outcome = CliRunner().invoke(demo, [], obj=here)
    assert outcome.exit_code == 0, outcome.exception
    assert f"{own}; this batch runs without Airflow" in outcome.output


@pytest.mark.parametrize("state", ["success", "failed"])
def test_the_exit_status_of_status_is_1_where_a_dag_s_latest_run_failed(
    profile: Profile, airflow: Airflow, as_person: pytest.MonkeyPatch, state: str
) -> None:
    ready = Health("airflow", "Apache Airflow", False, "ready", "", 1, 0, 1.0)
    as_person.setattr("pinflow.stack.runtime.current", lambda profile: SimpleNamespace(health=lambda: [ready]))
    as_person.setattr("pinflow.account.take", lambda profile: Account([]))
    airflow.dags, airflow.runs = [{"dag_id": "mine", "relative_fileloc": "x.py"}], [("mine", "r")]
    airflow.state, airflow.tasks = state, [{**TASK, "state": state}]
    here = profile.model_copy(update={"stack": load("local").stack})
    outcome = CliRunner().invoke(status, [], obj=here)
    assert outcome.exit_code == (1 if state == "failed" else 0), outcome.exception
    assert ("mine: run r failed: only (try 1)" in outcome.output) == (state == "failed")
