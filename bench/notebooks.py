"""(n) what an empty notebook costs: time from submit to TERMINATED, memory of four at once."""

from __future__ import annotations

import base64
import statistics
import time
from dataclasses import dataclass

import psutil
from databricks.sdk.service.jobs import NotebookTask, SubmitTask
from databricks.sdk.service.workspace import ImportFormat, Language

from foundation.databricks import Workspace
from tests.stack import TestStack

EMPTY = b"# Databricks notebook source\n"
WAITING = b"# Databricks notebook source\nimport time\n\nspark.range(1).collect()\ntime.sleep(8)\n"


@dataclass(frozen=True)
class NotebookCost:
    """Median seconds of an empty run, from submit to TERMINATED; bytes that four at once take at most."""

    seconds: float
    memory_of_four: int


def measure(stack: TestStack, runs: int = 5) -> NotebookCost:
    """Empty notebooks one after the other, then four at once that each hold a session for 8 s."""
    workspace = Workspace(stack.profile)
    for name, source in (("empty", EMPTY), ("waiting", WAITING)):
        workspace.client.workspace.import_(
            f"{workspace.home}/{name}",
            content=base64.b64encode(source).decode(),
            format=ImportFormat.SOURCE,
            language=Language.PYTHON,
            overwrite=True,
        )
    seconds = [_run(workspace, "empty") for _ in range(runs)]
    before, most = _memory(stack), 0
    ends = [_submit(workspace, "waiting") for _ in range(4)]
    while not all(_ended(workspace, run) for run in ends):
        most = max(most, _memory(stack))
        time.sleep(0.5)
    return NotebookCost(statistics.median(seconds), most - before)


def _run(workspace: Workspace, notebook: str) -> float:
    began = time.monotonic()
    run = _submit(workspace, notebook)
    while not _ended(workspace, run):
        time.sleep(0.05)
    return time.monotonic() - began


def _submit(workspace: Workspace, notebook: str) -> int:
    task = SubmitTask(
        task_key=notebook,
        existing_cluster_id=workspace.profile.databricks.cluster_id,
        notebook_task=NotebookTask(notebook_path=f"{workspace.home}/{notebook}"),
    )
    submitted = workspace.client.jobs.submit(run_name=notebook, tasks=[task])
    return int(submitted.response.run_id)  # type: ignore[attr-defined]  # Wait[Run] is built dynamically


def _ended(workspace: Workspace, run_id: int) -> bool:
    state = workspace.client.jobs.get_run(run_id).state
    return bool(state and state.life_cycle_state and state.life_cycle_state.value == "TERMINATED")


def _memory(stack: TestStack) -> int:
    """Proportional set size of the workspace and the notebook processes below it."""
    service = psutil.Process(stack.pid("databricks"))
    total = 0
    for process in (service, *service.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total
