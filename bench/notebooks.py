"""(n) what an empty notebook costs: time from submit to TERMINATED, memory of four at once."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench.machine import memory
from tests.e2e.orchestration import Orchestration
from tests.stack import TestStack


@dataclass(frozen=True)
class NotebookCost:
    """Median seconds of an empty run, from submit to TERMINATED; bytes that four at once take at most."""

    seconds: float
    memory_of_four: int


def measure(stack: TestStack, runs: int = 5) -> NotebookCost:
    """Empty notebooks one after the other, then four at once that each hold a session for 8 s."""
    workspace = Orchestration(stack)
    workspace.notebook("/Shared/empty", "")
    workspace.notebook("/Shared/waiting", "import time\n\nspark.range(1).collect()\ntime.sleep(8)")
    seconds = []
    for _ in range(runs):
        began, run = time.monotonic(), _submit(workspace, "empty")
        while not _ended(workspace, run):
            time.sleep(0.05)
        seconds.append(time.monotonic() - began)
    before, most = memory(stack, "databricks"), 0
    four = [_submit(workspace, "waiting") for _ in range(4)]
    while not all(_ended(workspace, run) for run in four):
        most = max(most, memory(stack, "databricks"))
        time.sleep(0.5)
    return NotebookCost(statistics.median(seconds), most - before)


def _submit(workspace: Orchestration, name: str) -> int:
    cluster = workspace.stack.profile.databricks.cluster_id
    notebook = {"notebook_path": f"/Shared/{name}"}
    task = {"task_key": name, "existing_cluster_id": cluster, "notebook_task": notebook}
    return int(workspace.databricks("POST", "2.1/jobs/runs/submit", json={"run_name": name, "tasks": [task]})["run_id"])


def _ended(workspace: Orchestration, run: int) -> bool:
    state = workspace.databricks("GET", "2.1/jobs/runs/get", params={"run_id": run})["state"]
    return bool(state["life_cycle_state"] == "TERMINATED")
