"""Runs through the official client: states, results, order, retries, timeouts, cancelling."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from databricks.sdk.errors import InvalidParameterValue, NotImplemented, OperationFailed, ResourceDoesNotExist
from databricks.sdk.service.jobs import (
    CronSchedule,
    JobParameterDefinition,
    JobSettings,
    NotebookTask,
    QueueSettings,
    RunIf,
    RunType,
    SparkPythonTask,
    SubmitTask,
    Task,
)

from tests.contract.workspace.conftest import (
    CLUSTER,
    HOME,
    Client,
    Service,
    carried_out,
    ended,
    notebook,
    state,
    task,
    until,
)
from tests.servers.waiting import wait_for


def directory(service: Service, run_id: int | None) -> Path:
    return service.home / "runs" / str(run_id)


def written(file: Path) -> str:
    """What a process of a run has written to a file, once it has."""
    return str(wait_for(f"{file.name} to be written", file.read_text, every=0.02))


def test_a_notebook_runs_and_its_exit_value_is_the_output(client: Client) -> None:
    path = notebook(client, "a name with spaces ünd more", "print hello; exit 42")
    run = client.jobs.submit(run_name="one", tasks=[task("only", path)]).result()
    assert state(run) == ("TERMINATED", "SUCCESS")
    assert run.tasks and run.tasks[0].run_id != run.run_id
    assert run.tasks[0].cluster_instance and run.tasks[0].cluster_instance.cluster_id == CLUSTER
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    assert output.notebook_output and output.notebook_output.result == "42"
    assert output.metadata and output.metadata.run_id == run.tasks[0].run_id


def test_the_times_of_a_run_add_up(client: Client) -> None:
    path = notebook(client, "times", "sleep 0.3")
    run = carried_out(client, task("only", path))
    only = run.tasks[0]
    assert only.execution_duration >= 300
    assert only.setup_duration + only.execution_duration == only.run_duration
    assert only.start_time <= only.end_time <= run.end_time
    assert run.run_duration >= only.execution_duration


def test_a_failing_notebook_fails_the_run_with_its_error_and_trace(client: Client) -> None:
    path = notebook(client, "failing", "fail ValueError: no such thing")
    waiting = client.jobs.submit(tasks=[task("only", path)])
    with pytest.raises(OperationFailed, match="Task only failed with message: Workload failed, see run output"):
        waiting.result()
    run = client.jobs.get_run(waiting.run_id)
    assert state(run) == ("INTERNAL_ERROR", "FAILED")
    assert state(run.tasks[0]) == ("TERMINATED", "FAILED")
    assert run.status.termination_details.code.value == "RUN_EXECUTION_ERROR"
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    assert output.error == "ValueError: no such thing"
    assert output.error_trace == "Traceback: ValueError: no such thing"


def test_a_notebook_that_is_not_there_fails_the_run_not_the_submission(client: Client) -> None:
    run_id = client.jobs.submit(tasks=[task("only", "/Users/nobody/nothing")]).run_id
    run = ended(client, run_id)
    message = (
        'Unable to access the notebook "/Users/nobody/nothing" in the workspace. Either it does not exist, or the '
        "identity used to run this job, local@pinflow, lacks the required permissions."
    )
    assert state(run.tasks[0]) == ("INTERNAL_ERROR", "FAILED")
    assert run.tasks[0].state.state_message == message
    assert run.state.state_message == f"Task only failed with message: {message}"
    assert run.tasks[0].status.termination_details.code.value == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("words, how", [("die 3", "exited with status 3"), ("kill", "was killed by signal 9")])
def test_a_process_that_dies_fails_the_run_with_what_it_said_last(client: Client, words: str, how: str) -> None:
    path = notebook(client, "dying", words)
    run = ended(client, client.jobs.submit(tasks=[task("only", path)]).run_id)
    assert state(run.tasks[0]) == ("INTERNAL_ERROR", "FAILED")
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    assert how in output.error
    if words == "die 3":
        assert output.error_trace == "something is badly wrong"


def test_output_of_a_run_with_tasks_is_asked_of_its_tasks(client: Client) -> None:
    run = carried_out(client, task("only", notebook(client, "plain", "exit 1")))
    with pytest.raises(InvalidParameterValue, match="retrieve the output of each individual task run instead"):
        client.jobs.get_run_output(run.run_id)


def test_tasks_run_after_the_tasks_that_they_depend_on(client: Client) -> None:
    slow, quick = notebook(client, "slow", "sleep 0.3"), notebook(client, "quick", "exit ok")
    run = carried_out(
        client,
        task("last", quick, "left", "right"),
        task("left", slow, "first"),
        task("right", slow, "first"),
        task("first", slow),
    )
    tasks = {each.task_key: each for each in run.tasks}
    assert [each.task_key for each in run.tasks] == ["last", "left", "right", "first"]
    assert tasks["first"].end_time <= min(tasks["left"].start_time, tasks["right"].start_time)
    assert max(tasks["left"].start_time, tasks["right"].start_time) < min(
        tasks["left"].end_time, tasks["right"].end_time
    ), "side by side"
    assert tasks["last"].start_time >= max(tasks["left"].end_time, tasks["right"].end_time)


def test_tasks_after_a_failed_one_are_skipped_unless_they_run_in_any_case(client: Client) -> None:
    bad, good = notebook(client, "bad", "fail no"), notebook(client, "good", "exit yes")
    submitted = client.jobs.submit(
        tasks=[
            task("bad", bad),
            task("after", good, "bad"),
            task("after_that", good, "after"),
            task("cleanup", good, "bad", run_if=RunIf.ALL_DONE),
            task("alarm", good, "cleanup", run_if=RunIf.AT_LEAST_ONE_FAILED),
        ]
    )
    run = ended(client, submitted.run_id)
    states = {each.task_key: state(each) for each in run.tasks}
    assert states == {
        "bad": ("TERMINATED", "FAILED"),
        "after": ("SKIPPED", "UPSTREAM_FAILED"),
        "after_that": ("SKIPPED", "UPSTREAM_FAILED"),
        "cleanup": ("TERMINATED", "SUCCESS"),
        "alarm": ("SKIPPED", "EXCLUDED"),
    }
    assert run.state.state_message.endswith("This caused all downstream tasks to get skipped.")


def test_a_run_whose_leaves_succeed_is_a_success_with_failures(client: Client) -> None:
    bad, good = notebook(client, "bad", "fail no"), notebook(client, "good", "exit yes")
    run = carried_out(client, task("bad", bad), task("mend", good, "bad", run_if=RunIf.ALL_DONE))
    assert state(run) == ("TERMINATED", "SUCCESS_WITH_FAILURES")


def test_retries_end(client: Client) -> None:
    path = notebook(client, "bad", "fail no")
    run = ended(client, client.jobs.submit(tasks=[task("only", path, max_retries=2)]).run_id)
    assert (state(run), run.tasks[-1].attempt_number) == (("INTERNAL_ERROR", "FAILED"), 2)


@pytest.mark.parametrize("whole_run", [True, False])
def test_an_endless_run_is_stopped_by_its_timeout(client: Client, service: Service, whole_run: bool) -> None:
    path = notebook(client, "endless", "pid; sleep 300")
    if whole_run:
        run_id = client.jobs.submit(tasks=[task("only", path)], timeout_seconds=1).run_id
    else:
        run_id = client.jobs.submit(tasks=[task("only", path, timeout_seconds=1)]).run_id
    run = ended(client, run_id)
    assert state(run.tasks[0]) == ("TERMINATED", "TIMEDOUT")
    assert run.tasks[0].state.user_cancelled_or_timedout
    assert state(run) == (("TERMINATED", "TIMEDOUT") if whole_run else ("INTERNAL_ERROR", "FAILED"))
    assert not psutil.pid_exists(int((directory(service, run.tasks[0].run_id) / "pid").read_text()))


def test_cancelling_really_ends_the_process_and_its_children(client: Client, service: Service) -> None:
    path = notebook(client, "with children", "pid; background; sleep 300")
    submitted = client.jobs.submit(tasks=[task("only", path)])
    only = client.jobs.get_run(submitted.run_id).tasks[0].run_id
    pids = [int(written(directory(service, only) / name)) for name in ("pid", "background")]
    asked = time.monotonic()
    client.jobs.cancel_run(submitted.run_id)
    run = ended(client, submitted.run_id)
    assert time.monotonic() - asked < 5, "it was not killed, which comes after 5 s"
    assert state(run) == state(run.tasks[0]) == ("TERMINATED", "CANCELED")
    assert run.state.state_message == "Run cancelled."
    assert run.status.termination_details.code.value == "USER_CANCELED"
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


def test_a_process_that_ignores_sigterm_is_killed_after_five_seconds(client: Client, service: Service) -> None:
    path = notebook(client, "stubborn", "pid; stubborn 300")
    submitted = client.jobs.submit(tasks=[task("only", path)])
    only = client.jobs.get_run(submitted.run_id).tasks[0].run_id
    written(directory(service, only) / "pid")
    time.sleep(0.2)
    asked = time.monotonic()
    client.jobs.cancel_run(submitted.run_id)
    assert until(client, submitted.run_id, lambda run: state(run)[0] == "TERMINATING")
    run = ended(client, submitted.run_id, 60)
    assert 4 < time.monotonic() - asked < 60
    assert state(run) == ("TERMINATED", "CANCELED")


def test_cancelling_one_task_skips_what_comes_after_it(client: Client) -> None:
    endless, good = notebook(client, "endless", "sleep 300"), notebook(client, "good", "exit yes")
    run_id = client.jobs.submit(tasks=[task("endless", endless), task("after", good, "endless")]).run_id
    run = until(client, run_id, lambda run: state(run.tasks[0])[0] == "RUNNING")
    client.jobs.cancel_run(run.tasks[0].run_id)
    run = ended(client, run_id)
    assert [state(each)[1] for each in run.tasks] == ["CANCELED", "UPSTREAM_CANCELED"]
    assert state(run)[1] == "CANCELED"


def test_cancelling_a_run_that_has_ended_changes_nothing(client: Client) -> None:
    run = carried_out(client, task("only", notebook(client, "good", "exit yes")))
    client.jobs.cancel_run(run.run_id)
    assert state(client.jobs.get_run(run.run_id)) == ("TERMINATED", "SUCCESS")


def test_what_a_notebook_leaves_in_the_background_ends_with_it(client: Client, service: Service) -> None:
    run = carried_out(client, task("only", notebook(client, "leaving", "background; exit done")))
    assert state(run) == ("TERMINATED", "SUCCESS")
    pid = int((directory(service, run.tasks[0].run_id) / "background").read_text())
    deadline = time.monotonic() + 2
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def test_a_huge_output_hurts_nobody(client: Client, service: Service) -> None:
    path = notebook(client, "huge", "huge 50000000; exit done")
    run = ended(client, client.jobs.submit(tasks=[task("only", path)]).run_id, 60)
    assert state(run) == ("TERMINATED", "SUCCESS")
    page = service.call("GET", run.run_page_url.removeprefix(service.url), token=None)
    assert page.status_code == 200 and len(page.content) < 1_000_000
    assert "the whole output of this cell" in page.text


def test_parameters_are_filled_in(client: Client) -> None:
    path = notebook(client, "document", "document")
    parameters = {"fixed": "1", "run": "{{job.run_id}}", "task": "{{task.name}}", "odd": "{{nothing.known}}"}
    run = carried_out(client, task("only", path, parameters=parameters))
    document = json.loads(client.jobs.get_run_output(run.tasks[0].run_id).notebook_output.result)
    assert document["parameters"] == {
        "fixed": "1",
        "run": str(run.run_id),
        "task": "only",
        "odd": "{{nothing.known}}",
    }
    assert document["notebook_path"] == path
    assert document["secrets"] == {"keys": {"aws": "hush-hush"}}
    assert document["control_token"] == "control-token"


def test_values_that_a_task_sets_reach_the_tasks_after_it(client: Client) -> None:
    first, second = notebook(client, "setting", "set rows 12; exit x"), notebook(client, "document", "document")
    run = carried_out(
        client, task("first", first), task("second", second, "first", parameters={"n": "{{tasks.first.values.rows}}"})
    )
    document = json.loads(client.jobs.get_run_output(run.tasks[1].run_id).notebook_output.result)
    assert document["task_values"] == {"first": {"rows": "12"}}
    assert document["parameters"] == {"n": "12"}


def test_no_secret_reaches_a_notebook_by_its_environment(client: Client) -> None:
    run = carried_out(client, task("only", notebook(client, "environment", "environment")))
    environment = client.jobs.get_run_output(run.tasks[0].run_id).notebook_output.result
    assert not [name for name in json.loads(environment) if name.startswith("PINFLOW_")]


def test_an_idempotency_token_starts_one_run(client: Client) -> None:
    path = notebook(client, "good", "exit yes")
    ids = {client.jobs.submit(tasks=[task("only", path)], idempotency_token="once").run_id for _ in range(3)}
    assert len(ids) == 1


def test_ids_only_grow(client: Client) -> None:
    path = notebook(client, "good", "exit yes")
    first = carried_out(client, task("only", path))
    client.jobs.delete_run(first.run_id)
    second = carried_out(client, task("only", path))
    assert second.run_id > first.run_id
    with pytest.raises(ResourceDoesNotExist, match=f"Run {first.run_id} does not exist."):
        client.jobs.get_run(first.run_id)


def test_a_task_that_is_no_notebook_is_refused_by_name(client: Client) -> None:
    with pytest.raises(NotImplemented, match="spark_python_task"):
        client.jobs.submit(tasks=[SubmitTask("x", spark_python_task=SparkPythonTask("/a.py"))])


@pytest.mark.parametrize(
    "tasks, message",
    [
        ([], "is required"),
        ([("a", HOME + "/x", "b"), ("b", HOME + "/x", "a")], "Cyclic dependency"),
        ([("a", HOME + "/x"), ("a", HOME + "/x")], "Duplicate task keys"),
        ([("a", HOME + "/x", "missing")], "missing, which does not exist"),
        ([("a", "relative/path")], "Paths must begin with '/'"),
    ],
)
def test_an_impossible_submission_is_refused(client: Client, tasks: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        client.jobs.submit(tasks=[task(*each) for each in tasks])


def test_runs_are_listed_newest_first_page_by_page(client: Client) -> None:
    path = notebook(client, "good", "exit yes")
    made = [carried_out(client, task("only", path), run_name=f"page {n}").run_id for n in range(5)]
    listed = [run.run_id for run in client.jobs.list_runs(limit=2)]
    assert listed[:5] == made[::-1]
    assert listed == sorted(listed, reverse=True)
    assert not any(run.tasks for run in client.jobs.list_runs(limit=2))
    assert next(iter(client.jobs.list_runs(expand_tasks=True))).tasks
    assert all(run.run_type == RunType.SUBMIT_RUN for run in client.jobs.list_runs(run_type=RunType.SUBMIT_RUN))


def test_active_and_completed_runs_are_told_apart(client: Client) -> None:
    going = client.jobs.submit(tasks=[task("only", notebook(client, "endless", "sleep 300"))]).run_id
    assert [run.run_id for run in client.jobs.list_runs(active_only=True)] == [going]
    assert going not in [run.run_id for run in client.jobs.list_runs(completed_only=True)]
    client.jobs.cancel_run_and_wait(going)
    with pytest.raises(InvalidParameterValue):
        list(client.jobs.list_runs(active_only=True, completed_only=True))


def test_a_job_keeps_its_settings_and_runs_with_parameters(client: Client) -> None:
    path = notebook(client, "document", "document")
    job = client.jobs.create(
        name="nightly",
        tasks=[Task("only", notebook_task=NotebookTask(path, base_parameters={"own": "{{job.parameters.day}}"}))],
        parameters=[JobParameterDefinition("day", "monday"), JobParameterDefinition("size", "1")],
        schedule=CronSchedule("0 0 * * * ?", "UTC"),
    )
    settings = client.jobs.get(job.job_id).settings
    assert settings.name == "nightly"
    assert settings.schedule.pause_status.value == "PAUSED", "nothing here runs by the clock, and it says so"
    run = client.jobs.run_now(job.job_id, job_parameters={"day": "friday"}).result()
    document = json.loads(client.jobs.get_run_output(run.tasks[0].run_id).notebook_output.result)
    assert document["parameters"] == {"own": "friday", "day": "friday", "size": "1"}
    assert run.job_id == job.job_id and run.run_type == RunType.JOB_RUN
    assert [each.run_id for each in client.jobs.list_runs(job_id=job.job_id)] == [run.run_id]
    assert job.job_id in [each.job_id for each in client.jobs.list(name="NIGHTLY")]
    client.jobs.delete(job.job_id)
    with pytest.raises(ResourceDoesNotExist, match="does not exist"):
        client.jobs.get(job.job_id)


def test_a_job_can_be_changed(client: Client) -> None:
    path = notebook(client, "good", "exit yes")
    job = client.jobs.create(name="old", tasks=[Task("a", notebook_task=NotebookTask(path))], timeout_seconds=5)
    client.jobs.update(job.job_id, new_settings=JobSettings(name="new", max_concurrent_runs=3))
    settings = client.jobs.get(job.job_id).settings
    assert (settings.name, settings.max_concurrent_runs, settings.timeout_seconds) == ("new", 3, 5)
    client.jobs.reset(job.job_id, JobSettings(name="reset", tasks=[Task("b", notebook_task=NotebookTask(path))]))
    settings = client.jobs.get(job.job_id).settings
    assert (settings.name, settings.tasks[0].task_key, settings.timeout_seconds) == ("reset", "b", 0)


@pytest.fixture
def job(client: Client, service: Service) -> Any:
    """A job with two of everything that jobs/update merges; `update` and `settings` of it."""
    path = notebook(client, "good", "exit yes")
    body = {
        "name": "merged",
        "tasks": [{"task_key": key, "notebook_task": {"notebook_path": path}} for key in ("a", "b")],
        "parameters": [{"name": "day", "default": "monday"}, {"name": "size", "default": "1"}],
        "job_clusters": [{"job_cluster_key": key, "new_cluster": {"num_workers": 1}} for key in ("small", "big")],
        "schedule": {"quartz_cron_expression": "0 0 * * * ?", "timezone_id": "UTC"},
    }
    job_id = service.call("POST", "/api/2.2/jobs/create", json=body).json()["job_id"]

    class Job:
        def update(self, **change: Any) -> Any:
            return service.call("POST", "/api/2.2/jobs/update", json={"job_id": job_id, **change})

        @property
        def settings(self) -> Any:
            return service.call("GET", f"/api/2.2/jobs/get?job_id={job_id}").json()["settings"]

    return Job()


def test_an_update_merges_lists_by_their_keys_and_replaces_the_rest(job: Any) -> None:
    big = {"job_cluster_key": "big", "new_cluster": {"num_workers": 9}}
    parameters = [{"name": "size", "default": "2"}, {"name": "more", "default": "x"}]
    task = {"task_key": "b", "notebook_task": {"notebook_path": "/Users/x"}}
    answer = job.update(new_settings={"tasks": [task], "parameters": parameters, "job_clusters": [big]})
    assert answer.status_code == 200, answer.text
    settings = job.settings
    assert {each["name"]: each["default"] for each in settings["parameters"]} == {
        "day": "monday",
        "size": "2",
        "more": "x",
    }
    clusters = {each["job_cluster_key"]: each["new_cluster"]["num_workers"] for each in settings["job_clusters"]}
    assert clusters == {"small": 1, "big": 9}
    assert [each["task_key"] for each in settings["tasks"]] == ["a", "b"]
    assert settings["tasks"][1]["notebook_task"]["notebook_path"] == "/Users/x"


def test_an_update_removes_fields_and_single_tasks_and_job_clusters(job: Any) -> None:
    assert job.update(fields_to_remove=["schedule", "tasks/a", "job_clusters/small", "tasks/none"]).status_code == 200
    settings = job.settings
    assert "schedule" not in settings
    assert [each["task_key"] for each in settings["tasks"]] == ["b"]
    assert [each["job_cluster_key"] for each in settings["job_clusters"]] == ["big"]


@pytest.mark.parametrize(
    "change",
    [
        {"new_settings": {"tasks": ["x"]}},
        {"new_settings": {"tasks": "x"}},
        {"new_settings": {"tasks": [{"notebook_task": {"notebook_path": "/x"}}]}},
        {"new_settings": {"parameters": [None]}},
        {"new_settings": {"job_clusters": [{"job_cluster_key": []}]}},
        {"fields_to_remove": ["tasks/a", "tasks/b"]},
        {"fields_to_remove": ["schedule/timezone_id"]},
    ],
)
def test_an_impossible_update_is_refused_and_changes_nothing(job: Any, change: dict[str, Any]) -> None:
    before = job.settings
    answer = job.update(**change)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert job.settings == before


@pytest.mark.parametrize("queued", [True, False])
def test_a_job_has_no_more_active_runs_than_it_may(client: Client, queued: bool) -> None:
    path = notebook(client, "a while", "sleep 1")
    tasks = [Task("only", notebook_task=NotebookTask(path))]
    job = client.jobs.create(name="one at a time", tasks=tasks, queue=QueueSettings(queued))
    first, second = client.jobs.run_now(job.job_id), client.jobs.run_now(job.job_id)
    if queued:
        assert state(client.jobs.get_run(second.run_id))[0] == "QUEUED"
        before, after = first.result(), second.result()
        assert after.tasks[0].start_time >= before.tasks[0].end_time
    else:
        assert state(client.jobs.get_run(second.run_id)) == ("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED")
        client.jobs.cancel_all_runs(job_id=job.job_id)
        assert state(ended(client, first.run_id))[1] == "CANCELED"


def test_a_run_can_be_exported_as_one_html_file(client: Client) -> None:
    run = carried_out(client, task("only", notebook(client, "good", "print hello there")))
    view = client.jobs.export_run(run.tasks[0].run_id).views[0]
    assert view.name == "good" and "hello there" in view.content and "<link" not in view.content


def test_a_notebook_process_that_cannot_be_started_fails_the_run_not_the_workspace(own_service: Service) -> None:
    own_service.arguments[-2:] = ["/no/such/python"]
    own_service.start()
    client = own_service.client
    run = carried_out(client, task("only", notebook(client, "good", "exit 1")))
    assert state(run.tasks[0]) == ("INTERNAL_ERROR", "FAILED")
    assert "could not be started" in run.tasks[0].state.state_message
    assert "/no/such/python" in run.tasks[0].state.state_message


def test_processes_are_taken_first_come_first_served(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    path = notebook(client, "a while", "sleep 0.4")
    ids = [client.jobs.submit(tasks=[task("only", path)]).run_id for _ in range(6)]
    most = 0
    while any(state(client.jobs.get_run(run_id))[0] in ("PENDING", "RUNNING") for run_id in ids):
        most = max(most, len(running_notebooks(own_service)))
    runs = [client.jobs.get_run(run_id) for run_id in ids]
    started = [run.tasks[0].start_time for run in runs]
    assert started == sorted(started)
    assert most <= 2 + 1, "two that run and one that waits for the next run"
    assert all(state(run) == ("TERMINATED", "SUCCESS") for run in runs)


def running_notebooks(service: Service) -> list[psutil.Process]:
    return psutil.Process(service.pid).children()
