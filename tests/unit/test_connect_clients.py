"""What a Kafka that is away leaves behind in the sink: nothing, however often it is asked."""

from __future__ import annotations

import gc
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaError

from foundation import supervised
from services.connect import __main__ as process
from services.connect import sink
from services.connect.compat import connect
from services.connect.config import parse
from tests.unit.test_connect_options import CONFIG, WORKER


@pytest.fixture(params=["refuses", "is silent"])
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address where a broker refuses connections, or takes them and never answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if request.param == "is silent":
            taken.listen()
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def held() -> tuple[int, int]:
    """Threads and descriptors of this process."""
    gc.collect()
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize("client", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
def test_a_client_that_finds_no_broker_leaves_no_thread_and_no_descriptor(
    client: Any, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "kafka")  # as in the process itself: a kept log record keeps its socket
    threads, descriptors = held()
    for _ in range(3):
        with pytest.raises(KafkaError):
            connect(client, away, bootstrap_timeout_ms=100)
    threads_later, descriptors_later = held()
    assert threads_later <= threads
    assert descriptors_later <= descriptors


class Admin:
    """An admin client whose broker goes away after it was made."""

    closed = 0

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        Admin.closed += 1

    def describe_topics(self) -> Any:
        raise KafkaConnectionError


def test_the_search_for_topics_closes_the_client_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    searching = sink.Sink(parse(CONFIG, WORKER), "nowhere:9092", 1)

    def connected(*_: Any, **__: Any) -> Admin:
        nonlocal made
        made += 1
        if made == 2:
            searching._stopping.set()
        return Admin()

    monkeypatch.setattr(sink, "connect", connected)
    monkeypatch.setattr(supervised, "PAUSE", 0.01)
    monkeypatch.setattr(searching, "tasks", [])
    searching.start()
    for thread in threading.enumerate():
        if thread.name == "search for topics of sink":
            thread.join(30)
    assert Admin.closed == made == 2


def test_a_worker_that_cannot_start_is_stopped_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Worker:
        def __init__(self, settings: dict[str, str]) -> None:
            done.append("made")

        def start(self) -> None:
            if done.count("made") == 1:
                raise KafkaConnectionError

        def stop(self) -> None:
            done.append("stopped")

    monkeypatch.setattr(process, "Worker", Worker)
    monkeypatch.setattr(process, "RETRY_SECONDS", 0.01)
    process.start_worker({"bootstrap.servers": "nowhere:9092"})
    assert done == ["made", "stopped", "made"]
