"""What notebooks that were killed leave on the cluster: the workspace ends their sessions, and so their streams."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.contract.workspace.conftest import Service, carried_out, ended, notebook, state, task, until
from tests.contract.workspace.test_restart import pid_of_notebook

CHILDREN = "session of-the-run; child 1 of-a-child; child 1/child-1 of-its-child; child 2 of-one-that-ended done"


class Cluster:
    """A control endpoint that notes the sessions that it is to close."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/driver/id":
                    self.send_error(404)
                    return
                assert (self.path, asked["user_id"]) == ("/sessions/close", "local@pinflow")
                cluster.closed.append(asked["session_id"])
                # One that fails must not keep the others open.
                status, body = (500, b"{}") if asked["session_id"] == "of-a-child" else (200, b'{"closed": true}')
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def workspace(cluster: Cluster, tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "home", control_url=cluster.url)
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize(
    "ending, left", [("exit well", set()), ("fail no", set()), ("die 3", {"of-the-run"}), ("kill", {"of-the-run"})]
)
def test_the_sessions_of_notebooks_that_a_run_ran_end_with_it(
    workspace: Service, cluster: Cluster, ending: str, left: set[str]
) -> None:
    client = workspace.client
    carried_out(client, task("only", notebook(client, "parent", f"{CHILDREN}; {ending}")))
    assert {"of-a-child", "of-its-child", *left} <= set(cluster.closed)
    assert "of-one-that-ended" not in cluster.closed, "a process ends its session before its result"
    assert left or "of-the-run" not in cluster.closed


def test_they_end_when_the_run_is_cancelled(workspace: Service, cluster: Cluster) -> None:
    client = workspace.client
    run_id = client.jobs.submit(tasks=[task("only", notebook(client, "parent", f"{CHILDREN}; pid; sleep 300"))]).run_id
    running = until(client, run_id, lambda run: state(run.tasks[0])[0] == "RUNNING")
    pid_of_notebook(workspace, running.tasks[0].run_id)
    client.jobs.cancel_run(run_id)
    assert state(ended(client, run_id)) == ("TERMINATED", "CANCELED")
    assert {"of-the-run", "of-a-child", "of-its-child"} <= set(cluster.closed)


def test_they_end_at_the_next_start_of_a_workspace_that_was_killed(workspace: Service, cluster: Cluster) -> None:
    client = workspace.client
    run_id = client.jobs.submit(tasks=[task("only", notebook(client, "parent", f"{CHILDREN}; pid; sleep 300"))]).run_id
    running = until(client, run_id, lambda run: state(run.tasks[0])[0] == "RUNNING")
    pid_of_notebook(workspace, running.tasks[0].run_id)
    workspace.kill()
    workspace.start()
    assert set(cluster.closed) == {"of-the-run", "of-a-child", "of-its-child"}
