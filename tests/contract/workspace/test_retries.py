"""Retries and continuous jobs through the official client, also when the workspace is killed in between."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue
from databricks.sdk.service.jobs import Continuous, JobSettings, NotebookTask, PauseStatus, Task, TaskDependency

from tests.contract.workspace.conftest import (
    TOKEN,
    Client,
    Service,
    carried_out,
    ended,
    notebook,
    state,
    task,
    until,
)
from tests.contract.workspace.test_restart import pid_of_notebook

UNPAUSED, PAUSED = Continuous(pause_status=PauseStatus.UNPAUSED), Continuous(pause_status=PauseStatus.PAUSED)


def runs_of(client: Client, job_id: int) -> list[Any]:
    """A job's runs, oldest first."""
    return sorted(client.jobs.list_runs(job_id=job_id, expand_tasks=True), key=lambda run: run.run_id)


def wait_for_runs(client: Client, job_id: int, count: int, seconds: float = 15) -> list[Any]:
    deadline = time.monotonic() + seconds
    while len(found := runs_of(client, job_id)) < count:
        assert time.monotonic() < deadline, f"{len(found)} runs within {seconds} s"
        time.sleep(0.05)
    return found


def continuous(client: Client, name: str, path: str, **options: Any) -> int:
    only = Task("only", notebook_task=NotebookTask(path))
    made = client.jobs.create(name=name, tasks=[only], **{"continuous": UNPAUSED, **options})
    job_id: int = made.job_id
    return job_id


def running(service: Service, run_id: int, key: str, attempt: int = 0) -> None:
    """Wait until that attempt's process has begun its notebook, whose text may change from then on."""

    def is_it(task: Any) -> bool:
        return (task.task_key, task.attempt_number, state(task)[0]) == (key, attempt, "RUNNING")

    run = until(service.client, run_id, lambda run: any(is_it(each) for each in run.tasks))
    pid_of_notebook(service, next(each.run_id for each in run.tasks if is_it(each)))


def test_each_attempt_is_an_entry_with_its_number_and_output(client: Client, tmp_path: Path) -> None:
    path = notebook(client, "flaky", f"flaky {tmp_path / 'marker'}; exit at last")
    run = carried_out(client, task("only", path, max_retries=2))
    assert [(each.attempt_number, state(each)[1]) for each in run.tasks] == [(0, "FAILED"), (1, "SUCCESS")]
    first, second = run.tasks
    assert client.jobs.get_run_output(first.run_id).error == "the first attempt fails"
    assert client.jobs.get_run_output(second.run_id).notebook_output.result == "at last"
    assert client.jobs.get_run(second.run_id).original_attempt_run_id == first.run_id
    assert client.jobs.get_run(first.run_id).original_attempt_run_id == first.run_id


def test_the_page_of_a_run_links_every_attempt(client: Client, service: Service, tmp_path: Path) -> None:
    path = notebook(client, "flaky", f"flaky {tmp_path / 'marker'}; exit at last")
    run = carried_out(client, task("only", path, max_retries=2))
    text = service.call("GET", run.run_page_url.removeprefix(service.url), token=None).text
    assert "/runs/" in text.partition('id="attempts"')[2]
    for attempt in run.tasks:
        assert attempt.run_page_url.removeprefix(service.url).replace("&", "&amp;") in text


def test_a_flat_run_counts_its_attempts(client: Client, service: Service, tmp_path: Path) -> None:
    path = notebook(client, "flaky", f"flaky {tmp_path / 'marker'}; exit at last")
    body = {"notebook_task": {"notebook_path": path}, "max_retries": 1, "min_retry_interval_millis": 10}
    run_id = service.call("POST", "/api/2.0/jobs/runs/submit", json=body).json()["run_id"]
    run = ended(client, run_id)
    assert (state(run), run.attempt_number, run.original_attempt_run_id) == (("TERMINATED", "SUCCESS"), 1, run_id)


def test_a_job_of_one_task_in_the_old_form_is_tried_again(client: Client, service: Service, tmp_path: Path) -> None:
    path = notebook(client, "flaky", f"flaky {tmp_path / 'marker'}; exit at last")
    body = {"name": "old form", "notebook_task": {"notebook_path": path}, "max_retries": 1}
    job_id = service.call("POST", "/api/2.0/jobs/create", json=body).json()["job_id"]
    run = ended(client, client.jobs.run_now(job_id).run_id)
    assert (state(run)[1], run.attempt_number) == ("SUCCESS", 1)


@pytest.mark.parametrize("on_timeout", [True, False])
def test_a_timeout_is_tried_again_only_if_asked_for(client: Client, on_timeout: bool) -> None:
    path = notebook(client, "endless", "sleep 300")
    options = {"max_retries": 1, "timeout_seconds": 1, "retry_on_timeout": on_timeout}
    run = carried_out(client, task("only", path, **options))
    assert [state(each)[1] for each in run.tasks] == ["TIMEDOUT"] * (2 if on_timeout else 1)


def test_retries_wait_for_their_interval(client: Client) -> None:
    path = notebook(client, "bad", "fail no")
    run = carried_out(client, task("only", path, max_retries=1, min_retry_interval_millis=700))
    first, second = run.tasks
    assert second.start_time - first.end_time >= 700


def test_retries_without_end_go_on_until_cancelled(client: Client) -> None:
    path = notebook(client, "bad", "fail no")
    run_id = client.jobs.submit(tasks=[task("only", path, max_retries=-1)]).run_id
    until(client, run_id, lambda run: len(run.tasks) > 4)
    client.jobs.cancel_run(run_id)
    assert state(ended(client, run_id)) == ("TERMINATED", "CANCELED")


def test_a_killed_workspace_goes_on_with_a_run_that_has_retries_left(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    done, long = notebook(client, "done", "set k v; exit 1"), notebook(client, "long", "pid; sleep 300")
    shown = notebook(client, "shown", "document")
    run_id = client.jobs.submit(
        tasks=[
            task("before", done),
            task("long", long, "before", max_retries=3),
            task("after", shown, "long", parameters={"p": "{{tasks.before.values.k}}"}),
        ]
    ).run_id
    running(own_service, run_id, "long")
    notebook(client, "long", "exit 2")
    own_service.kill()
    own_service.start()
    run = ended(client, run_id)
    assert [(each.task_key, each.attempt_number, state(each)[1]) for each in run.tasks] == [
        ("before", 0, "SUCCESS"), ("long", 0, "FAILED"), ("long", 1, "SUCCESS"), ("after", 0, "SUCCESS")
    ]  # fmt: skip
    assert state(run) == ("TERMINATED", "SUCCESS")
    assert '"p": "v"' in client.jobs.get_run_output(run.tasks[-1].run_id).notebook_output.result


def test_a_stopped_workspace_goes_on_just_the_same(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    long = notebook(client, "long", "pid; sleep 300")
    run_id = client.jobs.submit(tasks=[task("long", long, max_retries=-1)]).run_id
    running(own_service, run_id, "long")
    notebook(client, "long", "exit 2")
    own_service.stop()
    own_service.start()
    assert [each.attempt_number for each in ended(client, run_id).tasks] == [0, 1]


def test_a_run_whose_retries_are_used_up_is_cut_off(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    long = notebook(client, "long", "pid; sleep 300")
    run_id = client.jobs.submit(tasks=[task("long", long, max_retries=1)]).run_id
    for attempt in (0, 1):
        running(own_service, run_id, "long", attempt)
        own_service.kill()
        own_service.start()
    assert state(ended(client, run_id)) == ("INTERNAL_ERROR", "FAILED")


def test_a_continuous_job_is_run_at_once_and_again_when_it_ends(client: Client) -> None:
    job_id = continuous(client, "again and again", notebook(client, "quick", "exit 1"))
    first, second, *_ = wait_for_runs(client, job_id, 2)
    assert first.trigger.value == "CONTINUOUS"
    assert second.start_time >= first.end_time
    assert client.jobs.get(job_id).settings.continuous.pause_status == PauseStatus.UNPAUSED
    client.jobs.delete(job_id)


def test_a_continuous_job_has_one_active_run(client: Client) -> None:
    job_id = continuous(client, "one at a time", notebook(client, "long", "pid; sleep 300"))
    client.jobs.update(job_id, new_settings=JobSettings(name="one at a time, still"))
    assert len(list(client.jobs.list_runs(job_id=job_id, active_only=True))) == 1
    client.jobs.delete(job_id)


def test_a_cancelled_run_of_a_continuous_job_is_followed_by_another(client: Client) -> None:
    job_id = continuous(client, "cancelled", notebook(client, "long", "pid; sleep 300"))
    (first,) = wait_for_runs(client, job_id, 1)
    client.jobs.cancel_run(first.run_id)
    assert state(ended(client, first.run_id)) == ("TERMINATED", "CANCELED")
    assert wait_for_runs(client, job_id, 2)[1].run_id != first.run_id
    client.jobs.delete(job_id)


def test_a_paused_continuous_job_is_run_no_more_until_it_is_resumed(client: Client) -> None:
    job_id = continuous(client, "paused", notebook(client, "quick", "exit 1"), continuous=PAUSED)
    time.sleep(1.5)
    assert runs_of(client, job_id) == []
    client.jobs.update(job_id, new_settings=JobSettings(continuous=UNPAUSED))
    wait_for_runs(client, job_id, 1)
    client.jobs.update(job_id, new_settings=JobSettings(continuous=PAUSED))
    time.sleep(0.5)
    before = len(runs_of(client, job_id))
    time.sleep(1.5)
    assert len(runs_of(client, job_id)) == before
    client.jobs.delete(job_id)


def test_failures_of_a_continuous_job_are_followed_up_ever_more_slowly(client: Client) -> None:
    job_id = continuous(client, "failing", notebook(client, "bad", "die 3"))
    first, second, third = wait_for_runs(client, job_id, 3)[:3]
    assert 1000 <= second.start_time - first.end_time < 1900
    assert third.start_time - second.end_time >= 2000
    client.jobs.delete(job_id)


def test_a_continuous_job_goes_on_after_the_workspace_was_killed(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    job_id = continuous(client, "kept alive", notebook(client, "long", "pid; sleep 300"))
    (first,) = wait_for_runs(client, job_id, 1)
    running(own_service, first.run_id, "only")
    own_service.kill()
    own_service.start()
    before, after = wait_for_runs(client, job_id, 2)
    assert (before.run_id, state(before)) == (first.run_id, ("INTERNAL_ERROR", "FAILED"))
    running(own_service, after.run_id, "only")


def test_a_continuous_job_takes_neither_retries_nor_dependencies(client: Client) -> None:
    path = notebook(client, "quick", "exit 1")
    only, after = (Task(key, notebook_task=NotebookTask(path)) for key in ("only", "after"))
    only.max_retries = 1
    with pytest.raises(InvalidParameterValue, match="retry policy"):
        client.jobs.create(tasks=[only], continuous=UNPAUSED)
    only.max_retries, after.depends_on = None, [TaskDependency("only")]
    with pytest.raises(InvalidParameterValue, match="dependencies"):
        client.jobs.create(tasks=[only, after], continuous=UNPAUSED)


def test_the_page_of_a_job_lists_its_runs_and_no_others(client: Client, service: Service) -> None:
    path = notebook(client, "quick", "exit 1")
    carried_out(client, task("only", path), run_name="somebody else's")
    job_id = client.jobs.create(name="My job", tasks=[Task("only", notebook_task=NotebookTask(path))]).job_id
    run = ended(client, client.jobs.run_now(job_id).run_id)
    assert "My job" not in service.call("GET", f"/jobs/{job_id}", token=None).text
    listed = service.call("POST", f"/jobs/{job_id}", token=None, data={"token": TOKEN}).text
    assert f">{run.run_id}<" in listed
    assert "somebody else" not in listed
    assert f"/jobs/{job_id}?key=" in service.call("GET", run.run_page_url.removeprefix(service.url), token=None).text
