"""Notebooks as people write them for Databricks, unchanged, on the whole stack, through Databricks' own client."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import NotebookTask, Run, RunResultState, SubmitTask
from databricks.sdk.service.workspace import ImportFormat, Language

from foundation.profile import ROOT
from tests import oracle
from tests.servers.waiting import wait_for
from tests.stack import Row, TestStack

PROJECT = "/Users/local@pinflow/a public project"
TABLES = {"pin": "pinterest_data", "geo": "geolocation_data", "user": "user_data"}
WAITS = """# Databricks notebook source
import time

print("runs")
spark.range({rows}).createOrReplaceTempView("same_name")
try:
    dbutils.fs.mount("s3a://user-0a1b2c3d4e5f-bucket", "/mnt/same-mount")
    how = "mounted"
except Exception as error:
    how = "was mounted" if "Directory already mounted: /mnt/same-mount" in str(error) else str(error)
time.sleep({seconds})
rows = spark.table("same_name").count()
dbutils.notebook.exit(f"{{how}}, {{rows}} rows, {{len(dbutils.fs.ls('/mnt/same-mount/topics'))}} topics")
"""


@pytest.fixture(scope="module")
def client(posted: TestStack) -> Iterator[WorkspaceClient]:
    """The official client; the project of tests/e2e/notebooks is in the workspace."""
    posted.pinflow("sync", str(ROOT / "tests" / "e2e" / "notebooks"), "--to", PROJECT)
    databricks = posted.profile.databricks
    yield WorkspaceClient(host=databricks.host, token=databricks.token.get_secret_value(), auth_type="pat")


def test_what_databricks_does_not_take_is_left_out_and_said(
    posted: TestStack, client: WorkspaceClient, tmp_path: Path
) -> None:
    (tmp_path / "nb.py").write_text("# Databricks notebook source\nprint(1)\n")
    (tmp_path / "data.bin").write_bytes(bytes(11 << 20))
    told = posted.pinflow("sync", str(tmp_path), "--to", "/Users/me/large")
    assert "skipped, over 10 MB (put data in dbfs:/ or S3): data.bin" in told.stdout + told.stderr
    assert [entry.path for entry in client.workspace.list("/Users/me/large")] == ["/Users/me/large/nb"]


def submit(client: WorkspaceClient, stack: TestStack, path: str, **parameters: str) -> int:
    notebook = NotebookTask(notebook_path=path, base_parameters=parameters)
    task = SubmitTask(task_key="main", existing_cluster_id=stack.profile.databricks.cluster_id, notebook_task=notebook)
    run_id = client.jobs.submit(run_name=path, tasks=[task]).response.run_id  # type: ignore[attr-defined]
    assert isinstance(run_id, int)
    return run_id


def ended(client: WorkspaceClient, run_id: int) -> Run:
    def over() -> Run | None:
        run = client.jobs.get_run(run_id)
        return run if run.state and run.state.result_state else None

    run: Run = wait_for("the run's end", over, timeout=300)
    return run


def value(client: WorkspaceClient, run_id: int) -> str:
    """What the notebook gave to dbutils.notebook.exit; fails with its error."""
    run = ended(client, run_id)
    assert run.tasks and run.tasks[0].run_id
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    assert run.state and run.state.result_state is RunResultState.SUCCESS, f"{output.error}\n{output.error_trace}"
    assert output.notebook_output
    return output.notebook_output.result or ""


def put(client: WorkspaceClient, path: str, source: str) -> str:
    content = base64.b64encode(source.encode()).decode()
    client.workspace.import_(
        path, content=content, format=ImportFormat.SOURCE, language=Language.PYTHON, overwrite=True
    )
    return path


def posts(stack: TestStack) -> set[int]:
    """``index`` of the posts that are in S3: 494, or all of the source after the long tests."""
    bodies = stack.objects(stack.profile.topics[0]).values()
    return {json.loads(line)["index"] for body in bodies for line in body}


def expected(stack: TestStack) -> dict[str, list[Row]]:
    """The oracle's answers for the posts that are in S3."""
    there = posts(stack)
    rows = {name: [row for row in found if row[0] in there] for name, found in stack.source().items()}
    return oracle.answers(*(rows[table] for table in TABLES.values()))


def test_a_project_runs_as_it_is(client: WorkspaceClient, posted: TestStack) -> None:
    """Mounting, %run of %run, cleaning in both formats, widgets, views, SQL cells, notebooks that run notebooks."""
    answers = json.loads(value(client, submit(client, posted, f"{PROJECT}/Run everything", greeting="you")))
    assert answers["people"] == len(posts(posted))
    right = expected(posted)
    for question in ("q1", "q3a", "q4"):
        found = sorted(tuple(row) for row in answers[question])
        assert not oracle.compare(sorted(right[question]), found), question


def test_classes_pandas_figures_and_merges(client: WorkspaceClient, posted: TestStack) -> None:
    assert value(client, submit(client, posted, f"{PROJECT}/Load with a class")) == str(len(posts(posted)))


def test_two_runs_at_once_with_one_view_name_and_one_mount(client: WorkspaceClient, posted: TestStack) -> None:
    paths = [put(client, f"{PROJECT}/wait {rows}", WAITS.format(rows=rows, seconds=3)) for rows in (2, 5)]
    runs = [submit(client, posted, path) for path in paths]
    results = [value(client, run) for run in runs]
    assert sorted(result.partition(",")[0] for result in results) == ["mounted", "was mounted"]
    assert [result.partition(", ")[2] for result in results] == ["2 rows, 3 topics", "5 rows, 3 topics"]


@pytest.mark.long
def test_the_cluster_killed_in_mid_run(client: WorkspaceClient, posted: TestStack) -> None:
    """The run fails and says why; the next one finds the mounts, and works."""
    path = put(client, f"{PROJECT}/wait long", WAITS.format(rows=3, seconds=5))
    run_id = submit(client, posted, path)
    wait_for("the run", lambda: "RUNNING" in str(client.jobs.get_run(run_id).as_dict()))
    time.sleep(2)
    posted.kill("spark")
    run = ended(client, run_id)
    assert run.state and run.state.result_state is RunResultState.FAILED
    assert run.tasks and run.tasks[0].run_id
    error = client.jobs.get_run_output(run.tasks[0].run_id).error or ""
    assert "The Spark driver has stopped unexpectedly and is restarting" in error
    wait_for("Spark ready", lambda: posted.pinflow("status", check=False).returncode == 0, timeout=120)
    assert value(client, submit(client, posted, path)) == "was mounted, 3 rows, 3 topics"
