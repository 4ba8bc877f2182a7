"""The parts of the sink that need neither Kafka nor S3."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kafka import TopicPartition

from services.connect.config import parse
from services.connect.objects import Batch, PartitionObjects, Written
from services.connect.partition import Uploads
from services.connect.sink import deal
from services.connect.values import BadValue, line
from tests.unit.test_connect_options import CONFIG, WORKER


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"b":1, "a":[]}', b'{"b":1, "a":[]}'),
        (b' {"a":1}\r\n', b'{"a":1}'),
        (b'{"a":\n1}', b'{"a": 1}'),
        (b'{"a":' + b"9" * 5000 + b"}", b'{"a":' + b"9" * 5000 + b"}"),
        (b'{"a":1e400}', b'{"a":1e400}'),
        (b"true", b"true"),
        (None, None),
        (b"", None),
        (b" \n", None),
        (b"null", None),
    ],
)
def test_the_line_of_a_value(value: bytes | None, expected: bytes | None) -> None:
    assert line(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"{bad",
        b'{"a":1}x',
        b'{"a":1} {"a":2}',
        b"NaN",
        b"[Infinity]",
        b'"\xff"',
        b"'a'",
        b'"\n"',
        b"01",
        b"[" * 9999,
    ],
)
def test_what_is_not_one_json_document_is_bad(value: bytes) -> None:
    with pytest.raises(BadValue):
        line(value)


class InMemory:
    """The answers of a bucket about a partition's objects: start → what is in it."""

    def __init__(self, held: dict[int, Written]) -> None:
        self.held = held

    def starts(self, prefix: str, suffix: str, after: str) -> list[int]:
        first = int(after.removeprefix(prefix).removesuffix(suffix)) + 1 if after else 0
        return sorted(start for start in self.held if start >= first)

    def head(self, key: str, start: int) -> Written | None:
        return self.held.get(start)


def objects(**held: tuple[int, str | None]) -> PartitionObjects:
    """Objects `at_0=(3, "id")`: from offset 0 to below 3, of the topic with that id."""
    bucket: Any = InMemory({int(name[3:]): Written(*what) for name, what in held.items()})
    return PartitionObjects(bucket, parse(CONFIG, WORKER), "t", 1, "id")


def test_the_key_names_topic_partition_and_start_offset() -> None:
    assert objects().key(12) == "topics/t/partition=1/t+1+0000000012.json"


def test_an_offset_inside_objects_goes_on_behind_them() -> None:
    chain = objects(at_0=(3, "id"), at_3=(5, None), at_7=(9, "id"))
    chain.load(None)
    assert [chain.free_from(offset) for offset in (0, 4, 5, 6, 8, 9)] == [5, 5, 5, 6, 9, 9]
    assert [chain.bound(offset) for offset in (5, 6, 9)] == [7, 7, None]


def test_only_objects_behind_a_committed_boundary_are_asked_for() -> None:
    chain = objects(at_0=(3, "id"), at_3=(5, "id"))
    chain.load(3)
    assert (chain.bound(0), chain.free_from(3)) == (3, 5)


def test_an_object_of_a_former_topic_holds_nothing() -> None:
    chain = objects(at_0=(3, "former"))
    chain.load(None)
    assert (chain.free_from(1), chain.bound(0)) == (1, None)


def batch(start: int) -> Batch:
    return Batch(start, start + 1, 1, b"{}\n")


def test_uploads_are_in_order_and_only_what_is_contiguous_is_safe() -> None:
    gates = {start: threading.Event() for start in range(3)}

    def write(b: Batch) -> None:
        gates[b.start].wait(5)

    with ThreadPoolExecutor(3) as pool:
        uploads = Uploads(pool, write, parallel=3)
        for start in range(3):
            uploads.submit(batch(start))
        gates[1].set()
        gates[2].set()
        time.sleep(0.1)
        assert uploads.first_unwritten() == 0
        gates[0].set()
        assert uploads.wait(5)
        assert uploads.first_unwritten() is None


def test_after_a_failed_upload_nothing_behind_it_is_written() -> None:
    written = []

    def write(b: Batch) -> None:
        if b.start == 1:
            raise OSError("no")
        written.append(b.start)

    with ThreadPoolExecutor(1) as pool:
        uploads = Uploads(pool, write, parallel=1)
        for start in range(3):
            uploads.submit(batch(start))
        assert uploads.wait(5)
    assert written == [0]
    assert uploads.first_unwritten() == 1
    assert isinstance(uploads.error, OSError)


def test_partitions_are_dealt_evenly_and_never_move() -> None:
    a, b, c, d = (TopicPartition(topic, 0) for topic in "abcd")
    dealt = deal({b: "1", c: "2"}, [{}, {}, {}])
    assert dealt == [{b: "1"}, {c: "2"}, {}]
    dealt = deal({a: "0", b: "1", c: "2", d: "3"}, dealt)
    assert dealt == [{b: "1", d: "3"}, {c: "2"}, {a: "0"}]
    assert deal({b: "new", d: "3"}, dealt) == [{b: "new", d: "3"}, {}, {}]
