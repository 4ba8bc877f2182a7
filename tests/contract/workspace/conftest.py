"""A workspace of the test's own: the real service in a process of its own, with notebooks that need no Spark."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import NotebookTask, RunLifeCycleState, SubmitTask, TaskDependency
from databricks.sdk.service.workspace import ImportFormat, Language

from tests.servers.ports import free_port
from tests.servers.process import ServerProcess

ROOT = Path(__file__).parents[3]
FAKE = "tests.contract.workspace.fake_notebook"
TOKEN = "a-token-for-tests"
CLUSTER = "0000-000000-pinflow0"
HOME = "/Users/local@pinflow"
# The client's classes call every field optional; what is asserted of one says well enough that it is there.
Client = Any
_ENDED = (RunLifeCycleState.TERMINATED, RunLifeCycleState.SKIPPED, RunLifeCycleState.INTERNAL_ERROR)


class Service(ServerProcess):
    """The service, which can be killed and started again with the same state."""

    def __init__(
        self, home: Path, *options: str, control_url: str = "http://127.0.0.1:9", own_token: str = TOKEN
    ) -> None:
        super().__init__(home.parent / "service.log")
        self.home = home
        self.own_token = own_token
        self.url = f"http://127.0.0.1:{free_port()}"
        self.arguments = [
            *("--home", str(home), "--url", self.url, "--cluster-id", CLUSTER, "--remote", "sc://127.0.0.1:9"),
            *("--control-url", control_url, *options, "--", sys.executable, "-m", FAKE),
        ]

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "services.databricks.workspace", *self.arguments]

    def environment(self) -> Mapping[str, str]:
        return {
            "PINFLOW_WORKSPACE_TOKEN": self.own_token,
            "PINFLOW_WORKSPACE_CONTROL_TOKEN": "control-token",
            "PINFLOW_WORKSPACE_SECRETS": json.dumps({"keys": {"aws": "hush-hush"}}),
        }

    def is_ready(self) -> bool:
        return bool(requests.get(f"{self.url}/.well-known/databricks-config", timeout=10))

    def start(self) -> None:
        self.launch(directory=ROOT)
        self.wait_until_ready(120)

    @property
    def client(self) -> Client:
        return WorkspaceClient(host=self.url, token=self.own_token)

    def call(self, method: str, path: str, token: str | None = TOKEN, **options: Any) -> requests.Response:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=20, **options)


def notebook(client: Client, name: str, words: str) -> str:
    """Upload a notebook for the stand-in; its path."""
    path = f"{HOME}/{name}"
    text = f"# Databricks notebook source\n# {words}\n".encode()
    client.workspace.upload(path, text, format=ImportFormat.SOURCE, language=Language.PYTHON, overwrite=True)
    return path


def task(key: str, path: str, *after: str, **options: Any) -> SubmitTask:
    """One task of a submission."""
    parameters = options.pop("parameters", None)
    return SubmitTask(
        task_key=key,
        notebook_task=NotebookTask(path, base_parameters=parameters),
        depends_on=[TaskDependency(name) for name in after] or None,
        existing_cluster_id=CLUSTER,
        **options,
    )


def ended(client: Client, run_id: int, seconds: float = 60) -> Any:
    """The run once it has ended."""
    return until(client, run_id, lambda run: run.state is not None and run.state.life_cycle_state in _ENDED, seconds)


def until(client: Client, run_id: int, true: Callable[[Any], bool], seconds: float = 60) -> Any:
    """The run once something is true of it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = client.jobs.get_run(run_id)
        if true(run):
            return run
        time.sleep(0.02)
    raise AssertionError(f"not so within {seconds} s: {run.as_dict()}")


def carried_out(client: Client, *tasks: SubmitTask, **options: Any) -> Any:
    """The run of some tasks once it has ended; sooner than the client's own `result()`, which polls by the second."""
    return ended(client, client.jobs.submit(tasks=list(tasks), **options).run_id)


def state(run: Any) -> tuple[str, str]:
    """Life cycle and result of a run or task run."""
    return run.state.life_cycle_state.value, run.state.result_state.value if run.state.result_state else ""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("workspace") / "home")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Service]:
    """A service that the test may kill; it starts it itself."""
    made = Service(tmp_path / "home", "--max-processes", "2")
    yield made
    made.stop()


@pytest.fixture
def client(service: Service) -> Client:
    return service.client
