"""The Spark driver goes away while runs are going on: they end at once, and new ones wait for the next driver."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.contract.workspace.conftest import Client, Service, ended, notebook, state, task, until
from tests.contract.workspace.test_restart import alive, pid_of_notebook
from tests.contract.workspace.test_retries import continuous, running, runs_of, wait_for_runs
from tests.servers.ports import free_port

LOST = "The Spark driver has stopped unexpectedly and is restarting"


class Driver:
    """A control endpoint that says who it is: always on the same port, another one after each start."""

    def __init__(self) -> None:
        self.port, self.starts, self.asked = free_port(), 0, threading.Semaphore(0)
        self.server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        self.starts += 1
        driver, answer = self, json.dumps({"id": f"driver {self.starts}"}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Authorization"] == "Bearer control-token"
                self.rfile.read(int(self.headers["Content-Length"]))
                known = self.path == "/driver/id"
                self.send_response(200 if known else 404)
                self.end_headers()
                self.wfile.write(answer if known else b"{}")
                driver.asked.release()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def wait_until_known(self) -> None:
        """The workspace has asked twice: it has dealt with the first answer."""
        for _ in range(2):
            assert self.asked.acquire(timeout=30)


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(driver: Driver, own: Service) -> Client:
    return own.client


@pytest.fixture
def own(driver: Driver, tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "home", control_url=f"http://127.0.0.1:{driver.port}")
    made.start()
    driver.wait_until_known()
    yield made
    made.stop()


def test_a_run_whose_driver_is_another_one_now_ends_and_says_so(own: Service, client: Client, driver: Driver) -> None:
    path = notebook(client, "endless", "pid; sleep 300")
    run_id = client.jobs.submit(tasks=[task("only", path)]).run_id
    running(own, run_id, "only")
    pid = pid_of_notebook(own, client.jobs.get_run(run_id).tasks[0].run_id)
    driver.stop()
    driver.start()
    run = ended(client, run_id)
    assert state(run) == ("INTERNAL_ERROR", "FAILED")
    assert LOST in run.state.state_message
    assert LOST in client.jobs.get_run_output(run.tasks[0].run_id).error
    assert not alive(pid)


def test_a_run_ends_when_the_driver_is_gone_for_good(own: Service, client: Client, driver: Driver) -> None:
    run_id = client.jobs.submit(tasks=[task("only", notebook(client, "endless", "pid; sleep 300"))]).run_id
    running(own, run_id, "only")
    driver.stop()
    assert LOST in ended(client, run_id).state.state_message


def test_a_run_that_is_submitted_while_the_driver_restarts_waits_for_it(
    own: Service, client: Client, driver: Driver
) -> None:
    endless = client.jobs.submit(tasks=[task("only", notebook(client, "endless", "pid; sleep 300"))]).run_id
    running(own, endless, "only")
    driver.stop()
    ended(client, endless)
    run_id = client.jobs.submit(tasks=[task("only", notebook(client, "good", "exit 1"))]).run_id
    until(client, run_id, lambda run: state(run.tasks[0])[0] == "PENDING")
    other = client.jobs.submit(tasks=[task("only", notebook(client, "good", "exit 1"))]).run_id
    client.jobs.cancel_run(other)
    assert state(ended(client, other))[1] == "CANCELED"
    assert state(client.jobs.get_run(run_id).tasks[0])[0] == "PENDING"
    driver.start()
    assert state(ended(client, run_id)) == ("TERMINATED", "SUCCESS")


def test_a_retry_is_made_on_the_next_driver(own: Service, client: Client, driver: Driver) -> None:
    path = notebook(client, "long", "pid; sleep 300")
    run_id = client.jobs.submit(tasks=[task("only", path, max_retries=1)]).run_id
    running(own, run_id, "only")
    notebook(client, "long", "exit 2")
    driver.stop()
    driver.start()
    run = ended(client, run_id)
    assert [(each.attempt_number, state(each)[1]) for each in run.tasks] == [(0, "FAILED"), (1, "SUCCESS")]


def test_a_continuous_job_follows_every_driver_at_once(own: Service, client: Client, driver: Driver) -> None:
    """No matter how often it is lost: that is no failure of the job."""
    job_id = continuous(client, "streams", notebook(client, "endless", "pid; sleep 300"))
    for count in range(1, 5):
        run = wait_for_runs(client, job_id, count)[-1]
        running(own, run.run_id, "only")
        driver.stop()
        driver.start()
        lost = ended(client, run.run_id)
        assert LOST in lost.state.state_message
        follower = wait_for_runs(client, job_id, count + 1)[-1]
        assert follower.start_time - lost.end_time < 8000, "after four failures in a row it would wait for 8 s"
    assert len(runs_of(client, job_id)) == 5
    client.jobs.delete(job_id)


def test_without_a_driver_from_the_start_a_run_goes_ahead(tmp_path: Path) -> None:
    """The notebook itself says what is wrong with the cluster."""
    service = Service(tmp_path / "home")
    service.start()
    try:
        run_id = service.client.jobs.submit(tasks=[task("only", notebook(service.client, "good", "exit 1"))]).run_id
        assert state(ended(service.client, run_id)) == ("TERMINATED", "SUCCESS")
    finally:
        service.stop()
