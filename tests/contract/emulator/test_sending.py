"""How records become requests: grouped by topic, bounded in number and bytes, in order."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from emulator.batch import KafkaRestWire
from emulator.delivery import Delivery, Limits
from emulator.sending import LINGER, Sender
from emulator.spill import Spill, SpillError
from emulator.totals import Totals
from tests.contract.emulator.far_end import FarEnd, entries, error, slow

PIN, GEO = "0a1b2c3d4e5f.pin", "0a1b2c3d4e5f.geo"


class Client:
    """A sender to the far end, with what it did."""

    def __init__(self, far_end: FarEnd, directory: Path, **limits: Any) -> None:
        self.totals, self.spill = Totals(), Spill(directory / "spill")
        bounds = Limits(**{"timeout": 5.0, "give_up_after": 5.0, **limits})
        wire = KafkaRestWire(far_end.url)
        self.sender = Sender(Delivery(wire, self.totals, self.spill, bounds), (PIN, GEO), bounds, wire.overhead)

    def add(self, number: int, topic: str = PIN, padding: int = 0) -> None:
        self.sender.add(topic, b'{"index":%d,"text":"%s"}' % (number, b"x" * padding))


def numbers(far_end: FarEnd, topic: str = PIN) -> list[int]:
    return [value["index"] for value in far_end.acknowledged.get(topic, [])]


def test_a_request_holds_records_of_one_topic_up_to_the_batch_size(far_end: FarEnd, tmp_path: Path) -> None:
    client = Client(far_end, tmp_path, batch_size=4)
    for number in range(10):
        client.add(number, PIN)
        client.add(number, GEO)
    client.sender.close()
    sizes = {topic: [len(r.values) for r in far_end.received if r.topic == topic] for topic in (PIN, GEO)}
    assert sizes == {PIN: [4, 4, 2], GEO: [4, 4, 2]}


def test_a_request_stays_within_the_bytes(far_end: FarEnd, tmp_path: Path) -> None:
    client = Client(far_end, tmp_path, batch_bytes=10_000)
    for number in range(100):
        client.add(number, padding=900)
    client.sender.close()
    bodies = [len(request.body) for request in far_end.received]
    assert max(bodies) <= 10_000
    assert len(bodies) <= 11
    assert numbers(far_end) == list(range(100))


def test_a_record_beyond_the_bytes_goes_alone(far_end: FarEnd, tmp_path: Path) -> None:
    client = Client(far_end, tmp_path, batch_bytes=10_000)
    client.add(1)
    client.add(2, padding=50_000)
    client.add(3)
    client.sender.close()
    assert [[value["index"] for value in request.values] for request in far_end.received] == [[1], [2], [3]]


def test_with_one_request_in_flight_a_topic_keeps_its_order(far_end: FarEnd, tmp_path: Path) -> None:
    far_end.replies.extend([slow(0.1), slow(0.0), slow(0.05)])
    client = Client(far_end, tmp_path, batch_size=3)
    for number in range(30):
        client.add(number)
    client.sender.close()
    assert numbers(far_end) == list(range(30))
    assert far_end.most_at_once == 1


def test_concurrency_is_the_number_of_requests_in_flight_per_topic(far_end: FarEnd, tmp_path: Path) -> None:
    far_end.usual = slow(0.1)
    client = Client(far_end, tmp_path, batch_size=1, concurrency=4)
    for number in range(12):
        client.add(number)
    client.sender.close()
    assert far_end.most_at_once == 4
    assert sorted(numbers(far_end)) == list(range(12))


def test_a_slow_far_end_slows_the_adding_down_so_that_little_is_in_hand(far_end: FarEnd, tmp_path: Path) -> None:
    far_end.usual = slow(0.2)
    client = Client(far_end, tmp_path, batch_size=1)
    began = time.monotonic()
    for number in range(6):
        client.add(number)
    assert time.monotonic() - began >= 0.6  # two fit in hand; the sixth waits for four answers
    client.sender.close()


def test_a_waiting_record_is_sent_after_the_linger_time_without_company(far_end: FarEnd, tmp_path: Path) -> None:
    client = Client(far_end, tmp_path)
    client.add(1)
    client.sender.flush_waiting()
    assert far_end.received == []
    deadline = time.monotonic() + 5
    time.sleep(LINGER)
    client.sender.flush_waiting()
    while not numbers(far_end) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert numbers(far_end) == [1]
    client.sender.close()


def test_one_failing_record_does_not_keep_its_batch_from_arriving(far_end: FarEnd, tmp_path: Path) -> None:
    far_end.replies.append(entries({2: 50002}))
    client = Client(far_end, tmp_path, batch_size=5)
    for number in range(5):
        client.add(number)
    client.sender.close()
    assert numbers(far_end) == [0, 1, 3, 4]
    assert (client.spill.records, client.totals.failures, client.totals.records) == (1, 1, 4)


def test_abandoning_spills_all_that_is_in_hand(far_end: FarEnd, tmp_path: Path) -> None:
    released = threading.Event()
    far_end.usual = lambda handler, request: (released.wait(5), entries({})(handler, request))[1]
    client = Client(far_end, tmp_path, batch_size=2)
    for number in (1, 2, 2):  # two under way (the same record twice is two), one still waiting for company
        client.add(number)
    client.sender.abandon(client.spill, client.totals, "interrupted")
    assert client.spill.records == 3
    released.set()
    client.sender.close()


def test_an_unwritable_spill_file_is_raised_where_records_are_added(far_end: FarEnd, tmp_path: Path) -> None:
    (tmp_path / "spill").write_text("in the way")
    far_end.usual = error(404, 40403)
    client = Client(far_end, tmp_path, batch_size=1)
    with pytest.raises(SpillError):
        for number in range(10):
            client.add(number)
