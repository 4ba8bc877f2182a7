"""The worker's life cycle of connectors, with tasks that only say whether they run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import pytest

from services.connect import sink as sinks
from services.connect import worker as workers
from services.connect.sink import Sink
from services.connect.worker import RestError, Worker
from tests.unit.test_connect_options import CONFIG, WORKER

PROPERTIES: dict[str, str | None] = {**CONFIG, "name": "c", "tasks.max": "2"}
ROUNDS = 60


class FakeTask:
    """A task that runs from `start` until `wait_stopped`; both take a moment, as those of a real one do."""

    made: list[FakeTask]

    def __init__(self, *_: Any) -> None:
        self.state, self.topics, self.running = "RUNNING", set[str](), False
        self.trace: str | None = None
        FakeTask.made.append(self)

    def assign(self, partitions: Mapping[Any, str]) -> None:
        pass

    def start(self) -> None:
        time.sleep(0.001)
        self.running = True

    def ask_to_stop(self) -> None:
        pass

    def wait_stopped(self) -> None:
        time.sleep(0.001)
        self.running = False


class FakeStore:
    """A config topic that forgets what is written; ``configs`` is what it holds."""

    cluster_id = "cluster"
    configs: ClassVar[dict[str, Any]] = {}

    def __init__(self, *_: Any) -> None:
        pass

    def load(self) -> tuple[dict[str, Any], dict[str, str]]:
        return self.configs, {}

    def write(self, name: str, properties: Any) -> None:
        pass

    write_state = write

    def close(self) -> None:
        pass


@contextmanager
def no_topics(*_: Any, **__: Any) -> Iterator[Any]:
    """An admin client of a cluster without topics."""

    class Admin:
        def describe_topics(self) -> list[Any]:
            return []

    yield Admin()


@pytest.fixture(autouse=True)
def without_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """`FakeTask.made` is every task that was made."""
    FakeTask.made = []
    monkeypatch.setattr(sinks, "Task", FakeTask)
    monkeypatch.setattr(sinks, "connect", no_topics)
    monkeypatch.setattr(workers, "ConfigTopic", FakeStore)


@pytest.fixture
def worker() -> Worker:
    return Worker(WORKER)


def at_once(*calls: Callable[[], Any]) -> None:
    """Make the calls at the same moment and wait for all; a RestError (the connector is gone) is an answer too."""
    together = threading.Barrier(len(calls))

    def make(call: Callable[[], Any]) -> None:
        together.wait(10)
        try:
            call()
        except RestError as error:
            assert error.status in (404, 409), error.message

    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(make, call) for call in calls]:
            done.result(30)


def running() -> int:
    return sum(task.running for task in FakeTask.made)


ENDINGS: dict[str, Callable[[Worker], None]] = {
    "deleted": lambda worker: worker.delete("c"),
    "stopped": lambda worker: worker.set_state("c", "STOPPED"),
    "paused": lambda worker: worker.set_state("c", "PAUSED"),
    "shut down": lambda worker: worker.stop(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_task_runs_after_its_connector_was_ended_while_a_restart_raced_it(ending: str) -> None:
    for _ in range(ROUNDS):
        worker = Worker(WORKER)
        worker.put("c", PROPERTIES)
        assert running() == 2
        at_once(
            partial(worker.restart, "c", tasks=True, only_failed=False),
            partial(ENDINGS[ending], worker),
            partial(worker.restart_task, "c", 1),
        )
        assert running() == 0


def test_put_beside_delete_leaves_the_tasks_of_a_connector_that_is_there_or_none(worker: Worker) -> None:
    for _ in range(ROUNDS):
        worker.put("c", PROPERTIES)
        at_once(lambda: worker.put("c", PROPERTIES), lambda: worker.delete("c"))
        assert running() == (2 if worker.names() else 0)


def test_a_slow_connector_does_not_hold_up_another(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.put("slow", {**PROPERTIES, "name": "slow"})
    worker.put("other", {**PROPERTIES, "name": "other"})
    goes_on, waiting = threading.Event(), threading.Event()
    stop = Sink.stop

    def wait(sink: Sink) -> None:
        if not waiting.is_set():
            waiting.set()
            assert goes_on.wait(30)
        stop(sink)

    monkeypatch.setattr(Sink, "stop", wait)
    with ThreadPoolExecutor(1) as pool:
        deleted = pool.submit(worker.delete, "slow")
        assert waiting.wait(30)
        worker.delete("other")
        assert worker.names() == ["slow"]
        goes_on.set()
        deleted.result(30)


def test_a_sink_that_was_stopped_starts_no_task_again(worker: Worker) -> None:
    worker.put("c", PROPERTIES)
    sink = worker._connectors["c"].sink
    assert sink is not None
    sink.stop()
    sink.restart_task(0)
    assert running() == 0
