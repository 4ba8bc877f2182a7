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
from kafka import TopicPartition

from services.connect import sink as sinks
from services.connect import worker as workers
from services.connect.config import parse
from services.connect.sink import Sink
from services.connect.worker import RestError, Worker
from tests.unit.test_connect_options import CONFIG, WORKER

PROPERTIES: dict[str, str | None] = {**CONFIG, "name": "c", "tasks.max": "2"}
ROUNDS = 60


class FakeTask:
    """A task that runs from `start` until `wait_stopped`; both take a moment, as those of a real one do."""

    made: list[FakeTask]

    def __init__(self, *_: Any) -> None:
        self.state, self.topics, self.running, self.paused = "RUNNING", set[str](), False, False
        self.trace: str | None = None
        FakeTask.made.append(self)

    def assign(self, partitions: Mapping[Any, str], generation: int) -> None:
        self.assigned, self.generation = set(partitions), generation

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


def put(worker: Worker, name: str = "c") -> None:
    """Put a connector, and let that take effect at once."""
    worker.put(name, {**PROPERTIES, "name": name})
    worker.apply(name)


ENDINGS: dict[str, Callable[[Worker], None]] = {
    "deleted": lambda worker: worker.delete("c"),
    "stopped": lambda worker: worker.set_state("c", "STOPPED"),
    "shut down": lambda worker: worker.stop(),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_task_runs_after_its_connector_was_ended_while_a_restart_raced_it(ending: str) -> None:
    for _ in range(ROUNDS):
        worker = Worker(WORKER)
        put(worker)
        assert running() == 2
        at_once(
            partial(worker.restart, "c", tasks=True, only_failed=False),
            partial(ENDINGS[ending], worker),
            partial(worker.restart_task, "c", 1),
        )
        worker.apply("c")
        assert running() == 0


def test_put_beside_delete_leaves_the_tasks_of_a_connector_that_is_there_or_none(worker: Worker) -> None:
    for _ in range(ROUNDS):
        put(worker)
        at_once(lambda: worker.put("c", PROPERTIES), lambda: worker.delete("c"))
        worker.apply("c")
        assert running() == (2 if worker.names() else 0)


def test_a_connector_that_is_put_and_deleted_again_before_its_former_tasks_stopped_leaves_none(worker: Worker) -> None:
    put(worker)
    worker.delete("c")
    worker.put("c", PROPERTIES)
    worker.delete("c")
    worker.apply("c")
    assert running() == 0


def test_a_slow_connector_does_not_hold_up_another(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    put(worker, "slow")
    put(worker, "other")
    goes_on, waiting = threading.Event(), threading.Event()
    stop = Sink.stop

    def wait(sink: Sink) -> None:
        if not waiting.is_set():
            waiting.set()
            assert goes_on.wait(30)
        stop(sink)

    monkeypatch.setattr(Sink, "stop", wait)
    with ThreadPoolExecutor(1) as pool:
        worker.delete("slow")
        deleted = pool.submit(worker.apply, "slow")
        assert waiting.wait(30)
        worker.delete("other")
        worker.apply("other")
        assert running() == 2, "those of the slow one"
        goes_on.set()
        deleted.result(30)


def test_a_sink_that_was_stopped_starts_no_task_again(worker: Worker) -> None:
    put(worker)
    sink = worker._connectors["c"].sink
    assert sink is not None
    sink.stop()
    sink.restart_task(0)
    assert running() == 0


def test_the_partitions_of_a_failed_task_go_to_the_others_and_all_are_reopened() -> None:
    sink = Sink(parse({**CONFIG, "tasks.max": "3"}, WORKER), "nowhere:9092", 1)
    found = {TopicPartition("t", number): "id" for number in range(3)}
    sink._assign(found)
    assert [len(task.assigned) for task in FakeTask.made] == [1, 1, 1]
    sink._assign(found)
    assert {task.generation for task in FakeTask.made} == {1}, "nothing has changed"
    FakeTask.made[0].state = "FAILED"
    sink._assign(found)
    alive = FakeTask.made[1:]
    assert {tp for task in alive for tp in task.assigned} == set(found)
    assert {task.generation for task in alive} == {2}
    for task in alive:
        task.state = "FAILED"
    sink._assign(found)
    sink.restart_task(1)
    sink._assign(found)
    assert FakeTask.made[-1].assigned == set(found)
    sink.stop()


def test_paused_tasks_stay_and_a_restarted_one_is_paused_too(worker: Worker) -> None:
    put(worker)
    worker.set_state("c", "PAUSED")
    worker.restart_task("c", 0)
    assert [task.paused for task in FakeTask.made] == [True, True, True]
    assert running() == 2
    worker.set_state("c", "STARTED")
    worker.apply("c")
    assert [task.paused for task in FakeTask.made[1:]] == [False, False]


def test_a_connector_that_cannot_start_leaves_its_former_tasks_alone(worker: Worker) -> None:
    put(worker)
    worker.put("c", {name: value for name, value in PROPERTIES.items() if name != "timezone"})
    worker.apply("c")
    assert (worker.status("c")["connector"]["state"], running()) == ("FAILED", 2)


def test_the_same_properties_again_restart_no_task(worker: Worker) -> None:
    put(worker)
    put(worker)
    assert len(FakeTask.made) == 2


def test_what_is_put_shows_a_moment_later(worker: Worker) -> None:
    worker.put("c", PROPERTIES)
    with pytest.raises(RestError, match="No status found for connector c"):
        worker.status("c")
    assert worker.info("c")["tasks"] == []
    deadline = time.monotonic() + 30
    while not running():
        assert time.monotonic() < deadline
        time.sleep(0.01)
