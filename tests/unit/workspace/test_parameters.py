"""A notebook's parameters and the references in them."""

from __future__ import annotations

from services.databricks.workspace.definitions import JobParameter, Task
from services.databricks.workspace.parameters import job_parameters, notebook_parameters
from services.databricks.workspace.store import Run

MIDDAY = 1_795_262_400_000  # 2026-11-21 12:00:00 UTC, a Saturday


def parameters(base: dict[str, object], of_job: dict[str, str] | None = None, **given: object) -> dict[str, str]:
    definition = {"task_key": "load", "notebook_task": {"notebook_path": "/nb", "base_parameters": base}}
    task = Task.model_validate(definition)
    run = Run(run_id=7, job_id=5, name="nightly", definition={}, parameters=dict(given), submitted=MIDDAY)
    attempt = Run(run_id=8, job_id=5, parent_id=7, task_key="load", name="nightly", definition=definition, attempt=1)
    return notebook_parameters(task, run, attempt, of_job or {}, {"first": {"rows": 12, "name": "x"}})


def test_job_parameters_win_over_notebook_params_over_base_parameters() -> None:
    found = parameters({"a": "base", "b": "base", "c": "base"}, {"c": "job"}, notebook_params={"b": "run", "c": "run"})
    assert found == {"a": "base", "b": "run", "c": "job"}


def test_numbers_and_booleans_become_texts() -> None:
    assert parameters({"n": 5, "f": 1.5, "b": True}) == {"n": "5", "f": "1.5", "b": "true"}


def test_references_are_filled_in() -> None:
    found = parameters(
        {
            "ids": "{{job.id}} {{job.run_id}} {{task.run_id}} {{run_id}} {{parent_run_id}} {{job_id}}",
            "names": "{{ job.name }}/{{task.name}}",
            "tries": "{{task.execution_count}}",
            "when": "{{job.start_time.iso_date}} {{start_date}} {{job.start_time.iso_datetime}}",
            "weekday": "{{job.trigger.time.is_weekday}}",
            "given": "{{job.parameters.day}}",
            "values": "{{tasks.first.values.rows}}{{tasks.first.values.name}}",
            "unknown": "{{something.else}} { {x}",
        },
        {"day": "friday"},
    )
    assert found == {
        "ids": "5 7 8 8 7 5",
        "names": "nightly/load",
        "tries": "2",
        "when": "2026-11-21 2026-11-21 2026-11-21T12:00:00",
        "weekday": "false",
        "given": "friday",
        "values": "12x",
        "unknown": "{{something.else}} { {x}",
        "day": "friday",
    }


def test_a_filled_in_value_is_not_filled_in_again() -> None:
    assert parameters({"a": "{{job.parameters.x}}"}, {"x": "{{job.id}}"})["a"] == "{{job.id}}"


def test_a_run_overrides_the_jobs_defaults() -> None:
    declared = [JobParameter(name="a", default="1"), JobParameter(name="b", default="2")]
    assert job_parameters(declared, {"b": "3", "c": "4"}) == {"a": "1", "b": "3", "c": "4"}
