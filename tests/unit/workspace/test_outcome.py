"""Which tasks run after others have ended, and how a run ends."""

from __future__ import annotations

import pytest

from services.databricks.workspace import outcome
from services.databricks.workspace.definitions import RunIf, Task
from services.databricks.workspace.outcome import Outcome, not_run, of_run


def task(key: str, *upstream: str) -> Task:
    return Task.model_validate(
        {
            "task_key": key,
            "notebook_task": {"notebook_path": "/x"},
            "depends_on": [{"task_key": name} for name in upstream],
        }
    )


def ended(result: str) -> Outcome:
    return Outcome("TERMINATED", result, "SUCCESS" if result == "SUCCESS" else "RUN_EXECUTION_ERROR", f"It is {result}")


# Upstream results, and for each condition what becomes of the task: runs (None), or why not.
RULES: list[tuple[list[str], dict[RunIf, str | None]]] = [
    (["SUCCESS", "SUCCESS"], {"ALL_SUCCESS": None, "AT_LEAST_ONE_FAILED": "EXCLUDED", "ALL_FAILED": "EXCLUDED"}),
    (["SUCCESS", "FAILED"], {"ALL_SUCCESS": "UPSTREAM_FAILED", "NONE_FAILED": "UPSTREAM_FAILED", "ALL_DONE": None}),
    (["SUCCESS", "FAILED"], {"AT_LEAST_ONE_SUCCESS": None, "AT_LEAST_ONE_FAILED": None, "ALL_FAILED": "EXCLUDED"}),
    (["FAILED", "TIMEDOUT"], {"ALL_FAILED": None, "AT_LEAST_ONE_SUCCESS": "EXCLUDED"}),
    (["UPSTREAM_FAILED"], {"ALL_SUCCESS": "UPSTREAM_FAILED", "ALL_DONE": None, "AT_LEAST_ONE_FAILED": None}),
    (["CANCELED"], {"ALL_SUCCESS": "UPSTREAM_CANCELED", "ALL_DONE": None}),
    (["CANCELED", "FAILED"], {"ALL_SUCCESS": "UPSTREAM_FAILED"}),
    (["SUCCESS", "EXCLUDED"], {"ALL_SUCCESS": None, "NONE_FAILED": None}),
    (["EXCLUDED", "EXCLUDED"], {"ALL_SUCCESS": "EXCLUDED", "ALL_DONE": "EXCLUDED"}),
    ([], {"ALL_SUCCESS": None, "ALL_FAILED": None}),
]


@pytest.mark.parametrize(
    "upstream, condition, expected", [(up, condition, why) for up, rules in RULES for condition, why in rules.items()]
)
def test_run_if(upstream: list[str], condition: RunIf, expected: str | None) -> None:
    found = not_run(condition, upstream)
    assert (found.result if found else None) == expected


@pytest.mark.parametrize(
    "results, expected",
    [
        ({"a": "SUCCESS", "b": "SUCCESS"}, "SUCCESS"),
        ({"a": "FAILED", "b": "SUCCESS"}, "SUCCESS_WITH_FAILURES"),
        ({"a": "FAILED", "b": "UPSTREAM_FAILED"}, "FAILED"),
        ({"a": "SUCCESS", "b": "EXCLUDED"}, "SUCCESS"),
        ({"a": "CANCELED", "b": "UPSTREAM_CANCELED"}, "CANCELED"),
        ({"a": "SUCCESS", "b": "TIMEDOUT"}, "FAILED"),
    ],
)
def test_the_leaves_decide_how_a_run_ends(results: dict[str, str], expected: str) -> None:
    tasks = [task("a"), task("b", "a")]
    assert of_run(tasks, {key: ended(result) for key, result in results.items()}, flat=False).result == expected


def test_a_failed_run_names_the_task_and_what_became_of_the_others() -> None:
    outcomes = {"a": outcome.FAILED, "b": Outcome("SKIPPED", "UPSTREAM_FAILED", "SKIPPED")}
    assert of_run([task("a"), task("b", "a")], outcomes, flat=False).message == (
        "Task a failed with message: Workload failed, see run output for details. "
        "This caused all downstream tasks to get skipped."
    )


def test_a_flat_run_ends_as_its_task() -> None:
    assert of_run([task("a")], {"a": outcome.timed_out(3)}, flat=True) == outcome.timed_out(3)
