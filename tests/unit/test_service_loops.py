"""The long-lived loops of the services: each goes on after a failure that nobody thought of, and shows it meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import uvicorn
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.types import ASGIApp

from foundation import loops, supervised
from foundation.errors import NotReady
from foundation.profile import Profile, load
from pinflow.cli import cli
from pinflow.stack import runtime
from pinflow.stack.native import NativeStack
from pinflow.stack.supervision import Process
from services.connect import native as connect
from services.connect import rest as connect_rest
from services.connect import sink as sinks
from services.connect import worker as workers
from services.connect.worker import Worker
from services.rest_proxy import app as rest_proxy
from services.rest_proxy.instances import Instances
from services.rest_proxy.settings import Settings
from tests.servers.ports import free_port
from tests.servers.waiting import wait_for
from tests.unit.test_connect_options import WORKER
from tests.unit.test_connect_worker import PROPERTIES, FakeStore, FakeTask

LINE = "RuntimeError: nobody thought of this"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "PAUSE", 0.02)


@contextmanager
def served(app: ASGIApp, port: int) -> Iterator[str]:
    """The application on loopback; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for("the server", lambda: server.started, every=0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


class Broken:
    """Raises an error that nobody thought of until it is mended; then calls on."""

    def __init__(self, then: Callable[..., Any]) -> None:
        self.mended, self.calls, self._then = False, 0, then

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not self.mended:
            raise RuntimeError("nobody thought of this\nsecond line")
        self.calls += 1
        return self._then(*arguments, **named)


# -- Kafka Connect -----------------------------------------------------------------------------------------------


class Topics:
    """An admin client whose cluster has one topic of the connector's, with two partitions."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> Topics:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def describe_topics(self) -> list[dict[str, Any]]:
        partitions = [{"partition_index": 0}, {"partition_index": 1}]
        name = f"{load('local').uid}.pin"
        return [{"name": name, "topic_id": "id", "error_code": 0, "is_internal": False, "partitions": partitions}]


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Profile, Broken]]:
    """The stand-in with one connector whose search for topics is broken; the profile that names both."""
    FakeTask.made, find = [], Broken(Topics)
    monkeypatch.setattr(sinks, "Task", FakeTask)
    monkeypatch.setattr(sinks, "connect", find)
    monkeypatch.setattr(workers, "ConfigTopic", FakeStore)
    worker, profile = Worker(WORKER), load("local")
    with served(connect_rest.application(worker), free_port()) as url:
        worker.put(profile.connect.connector, {**PROPERTIES, "name": profile.connect.connector})
        worker.apply(profile.connect.connector)
        yield profile.model_copy(update={"connect": profile.connect.model_copy(update={"url": url})}), find
        worker.stop()


def reason(probe: Callable[[], None]) -> str:
    try:
        probe()
    except NotReady as error:
        return error.what
    return ""


def test_the_search_for_topics_goes_on_and_is_shown_while_it_fails(
    sink: tuple[Profile, Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, find = sink
    assigned = []
    monkeypatch.setattr(FakeTask, "assign", lambda task, partitions, generation: assigned.append(len(partitions)))
    said = wait_for("the probe", lambda: reason(lambda: connect.probe(profile)))
    assert f"search for topics of {profile.connect.connector} has been failing since " in said
    assert LINE in said
    assert "second line" not in said
    assert said.endswith("see: make logs S=connect PROFILE=local")
    find.mended = True
    wait_for("the probe", lambda: not reason(lambda: connect.probe(profile)))
    assert sum(assigned) == 2


def test_a_failed_task_is_in_the_status_with_its_reason_and_makes_it_fail(
    sink: tuple[Profile, Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile, find = sink
    find.mended = True
    wait_for("the probe", lambda: not reason(lambda: connect.probe(profile)))
    FakeTask.made[1].state = "FAILED"
    FakeTask.made[1].trace = "org.apache.kafka.connect.errors.ConnectException: the first line\n\tat a.b.C"
    stack = NativeStack(profile)
    process = Process("RUNNING", os.getpid(), 1000.0)
    monkeypatch.setattr(NativeStack, "health", lambda _: [stack._health(connect.SERVICE, {"connect": process})])
    monkeypatch.setattr(runtime, "current", lambda _: stack)
    status = CliRunner().invoke(cli, ["--profile", "local", "status"])
    assert status.exit_code == 1
    assert (
        f"connect: connector {profile.connect.connector}: task 1 is FAILED: "
        "org.apache.kafka.connect.errors.ConnectException: the first line\nsee: make logs S=connect PROFILE=local"
    ) in status.output
    assert "a.b.C" not in status.output
    url = f"{profile.connect.url}/connectors/{profile.connect.connector}"
    assert f"fix the cause, then: curl -X POST '{url}/restart?includeTasks=true&onlyFailed=true'" in status.output


def test_a_connector_that_a_new_worker_refuses_is_told_with_the_reason(sink: tuple[Profile, Broken]) -> None:
    """Its tasks are none, for its stored properties could not be used."""
    profile, find = sink
    find.mended = True
    name = profile.connect.connector
    stored: dict[str, str | None] = {**PROPERTIES, "name": name, "flush.size": "none"}
    FakeStore.configs = {name: stored}
    try:
        worker = Worker(WORKER)
        worker.start()
    finally:
        FakeStore.configs = {}
    with served(connect_rest.application(worker), free_port()) as url:
        changed = profile.model_copy(update={"connect": profile.connect.model_copy(update={"url": url})})
        said = reason(lambda: connect.probe(changed))
    assert f"connector {name}: the connector is FAILED: org.apache.kafka.common.config.ConfigException: " in said
    assert "Invalid value none for configuration flush.size" in said


# -- REST proxy --------------------------------------------------------------------------------------------------


def test_the_expiry_of_consumers_goes_on_and_is_shown_while_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    expiry = Broken(lambda *_: None)
    monkeypatch.setattr(Instances, "close_idle", expiry)
    settings = Settings(["127.0.0.1:1"], "127.0.0.1", free_port(), instance_timeout_ms=10)
    profile = load("local")
    with served(rest_proxy.application(settings), settings.port) as url:
        said = wait_for("the probe", lambda: reason(lambda: loops.check(profile, "rest_proxy", url)))
        assert "expiry of consumers has been failing since " in said
        assert LINE in said
        expiry.mended = True
        wait_for("three calls", lambda: expiry.calls > 2, every=0.01)
        assert requests.get(url + supervised.PATH, timeout=10).json() == []


def test_a_real_service_that_knows_of_no_loops_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Starlette(), free_port()) as url:
        loops.check(load("local"), "rest_proxy", url)
