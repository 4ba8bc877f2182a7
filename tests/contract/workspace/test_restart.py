"""The workspace is stopped or killed in the middle of runs, and comes back with all it knew."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
from databricks.sdk.service.jobs import NotebookTask, Task

from tests.contract.workspace.conftest import Service, carried_out, ended, notebook, state, task, until

CUT_OFF = "the workspace was restarted while the run was going on"


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def pid_of_notebook(service: Service, run_id: int) -> int:
    file = service.home / "runs" / str(run_id) / "pid"
    deadline = time.monotonic() + 10
    while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return int(file.read_text())


def test_runs_outputs_jobs_and_notebooks_survive_a_kill(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    path = notebook(client, "good", "print seen; exit 42")
    before = carried_out(client, task("only", path), run_name="kept", idempotency_token="same")
    job_id = client.jobs.create(name="kept job", tasks=[Task("a", notebook_task=NotebookTask(path))]).job_id
    own_service.kill()
    own_service.start()
    after = client.jobs.get_run(before.run_id)
    assert after.as_dict() == before.as_dict()
    assert client.jobs.get_run_output(after.tasks[0].run_id).notebook_output.result == "42"
    assert client.workspace.get_status(path).path == path
    assert "seen" in own_service.call("GET", after.run_page_url.removeprefix(own_service.url), token=None).text
    assert client.jobs.submit(tasks=[task("only", path)], idempotency_token="same").run_id == before.run_id
    assert client.jobs.get(job_id).settings.name == "kept job"


def test_a_run_cut_off_by_a_kill_says_so_and_its_process_is_gone(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    path = notebook(client, "endless", "pid; background; stubborn 300")
    run_id = client.jobs.submit(tasks=[task("endless", path), task("after", path, "endless")]).run_id
    running = until(client, run_id, lambda run: state(run.tasks[0])[0] == "RUNNING")
    pid = pid_of_notebook(own_service, running.tasks[0].run_id)
    time.sleep(0.3)
    background = int((own_service.home / "runs" / str(running.tasks[0].run_id) / "background").read_text())
    own_service.kill()
    assert alive(pid), "a notebook that ignores SIGTERM outlives the workspace"
    own_service.start()
    run = client.jobs.get_run(run_id)
    assert state(run) == ("INTERNAL_ERROR", "FAILED")
    assert CUT_OFF in run.state.state_message
    assert [state(each) for each in run.tasks] == [("INTERNAL_ERROR", "FAILED")] * 2
    assert not alive(pid) and not alive(background)
    assert state(carried_out(client, task("only", notebook(client, "good", "exit 1"))))[1] == "SUCCESS"


def test_notebooks_end_with_a_killed_workspace(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    run_id = client.jobs.submit(tasks=[task("only", notebook(client, "endless", "pid; sleep 300"))]).run_id
    running = until(client, run_id, lambda run: state(run.tasks[0])[0] == "RUNNING")
    pid_of_notebook(own_service, running.tasks[0].run_id)
    children = psutil.Process(own_service.pid).children(recursive=True)
    assert len(children) == 2, "the server of notebook processes, and the notebook"
    own_service.kill()
    _, left = psutil.wait_procs(children, timeout=30)
    assert not left


def test_stopping_ends_every_process_and_says_why_the_runs_ended(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    run_id = client.jobs.submit(tasks=[task("only", notebook(client, "endless", "pid; sleep 300"))]).run_id
    running = until(client, run_id, lambda run: state(run.tasks[0])[0] == "RUNNING")
    pid_of_notebook(own_service, running.tasks[0].run_id)
    children = psutil.Process(own_service.pid).children(recursive=True)
    assert len(children) == 2, "the server of notebook processes, and the notebook"
    asked = time.monotonic()
    own_service.stop()
    assert time.monotonic() - asked < 30
    assert not any(child.is_running() for child in children)
    own_service.start()
    assert CUT_OFF in client.jobs.get_run(run_id).state.state_message


def test_runs_that_waited_for_a_place_are_cut_off_too(own_service: Service) -> None:
    own_service.start()
    client = own_service.client
    path = notebook(client, "endless", "sleep 300")
    ids = [client.jobs.submit(tasks=[task("only", path)]).run_id for _ in range(4)]
    own_service.kill()
    own_service.start()
    assert all(CUT_OFF in ended(client, run_id).state.state_message for run_id in ids)
    assert not list(client.jobs.list_runs(active_only=True))


def test_old_runs_are_forgotten_with_their_outputs(tmp_path: Path) -> None:
    service = Service(tmp_path / "home", "--keep-runs", "3")
    service.start()
    try:
        client = service.client
        path = notebook(client, "good", "exit 1")
        runs = [carried_out(client, task("only", path)) for _ in range(5)]
        deadline = time.monotonic() + 5
        while len(list((service.home / "runs").iterdir())) > 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [run.run_id for run in client.jobs.list_runs()] == [run.run_id for run in runs[:1:-1]]
        assert len(list((service.home / "runs").iterdir())) == 3
    finally:
        service.stop()
