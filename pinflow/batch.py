"""The batch job, run as on Databricks: our notebooks as the tasks of one job, through the Jobs API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from foundation.databricks import Outcome, Task, Workspace
from foundation.errors import PinflowError
from foundation.mwaa import Mwaa
from foundation.profile import Profile
from foundation.registry import TABLES
from foundation.service import Say
from pinflow import airflow


@dataclass(frozen=True)
class Answer:
    """A question's answer: the names of its columns, and its rows in order."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Result:
    """Rows of the cleaned tables and the quarantine, the answers by question, the page of the job's run."""

    rows: dict[str, int]
    answers: dict[str, Answer]
    page: str


def run_name(profile: Profile) -> str:
    """What a run of the batch is called in the workspace."""
    return f"{profile.uid} batch"


def run(profile: Profile, say: Say) -> Result:
    """Load the tables side by side, then ask the questions. Raises PinflowError with the page of what failed."""
    workspace = Workspace(profile)
    folder = workspace.sync_notebooks(say)
    parameters = {"uid": profile.uid, "bucket": profile.storage.bucket}
    loads = [Task(f"load_{name}", f"{folder}/load", parameters | {"table": name}) for name in TABLES]
    questions = Task("questions", f"{folder}/questions", parameters, tuple(load.key for load in loads))
    outcome = workspace.run(run_name(profile), [*loads, questions], say)
    return _result(outcome)


def run_by_airflow(profile: Profile, say: Say) -> Result:
    """The same by the batch DAG; the result's page is that of the DAG's run. Raises PinflowError when it fails."""
    workspace, dag_id = Workspace(profile), Mwaa(profile).dag_id
    workspace.sync_notebooks(say)
    dag_run = airflow.run(profile, dag_id, say)
    name = airflow.databricks_name(dag_id, dag_run.run_id, "questions")
    questions = workspace.outcome(name, say)
    if questions is None or not questions.results:
        raise PinflowError(f"batch: no result of the run {name} on Databricks", f"its tasks and logs: {dag_run.page}")
    (answers,) = questions.results.values()
    return _result(Outcome(True, dag_run.page, {"questions": answers}))


def _result(outcome: Outcome) -> Result:
    if not outcome.succeeded:
        raise PinflowError("batch: the job failed, see above", f"every task, cell and error: {outcome.page}")
    found = json.loads(outcome.results["questions"])
    answers = {name: Answer(**answer) for name, answer in found["answers"].items()}
    return Result(found["rows"], answers, outcome.page)
