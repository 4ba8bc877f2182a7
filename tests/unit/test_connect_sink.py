"""The parts of the sink that need neither Kafka nor S3."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from services.connect.config import parse
from services.connect.objects import Batch, PartitionObjects, Written
from services.connect.partition import Partition, Uploads
from services.connect.sink import assign_partitions
from services.connect.task import Assignment, Task
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

    def __init__(self, held: dict[int, Written], width: int) -> None:
        self.held = held
        self.width = width

    def starts(self, prefix: str, suffix: str, after: str) -> list[int]:
        keys = {f"{prefix}{start:0{self.width}d}{suffix}": start for start in self.held}
        return sorted(start for key, start in keys.items() if key > after)  # S3 compares texts, not numbers

    def head(self, key: str, start: int) -> Written | None:
        return self.held.get(start)


def objects(width: int = 10, **held: tuple[int, str | None]) -> PartitionObjects:
    """Objects `at_0=(3, "id")`: from offset 0 to below 3, of the topic with that id."""
    bucket: Any = InMemory({int(name[3:]): Written(*what) for name, what in held.items()}, width)
    config = parse({**CONFIG, "filename.offset.zero.pad.width": str(width)}, WORKER)
    return PartitionObjects(bucket, config, "t", 1, "id")


def test_the_key_names_topic_partition_and_start_offset() -> None:
    assert objects().key(12) == "topics/t/partition=1/t+1+0000000012.json"


def test_an_offset_inside_objects_goes_on_behind_them() -> None:
    chain = objects(at_0=(3, "id"), at_3=(5, None), at_7=(9, "id"))
    chain.load(0, None)
    assert [chain.first_free(offset) for offset in (0, 4, 5, 6, 8, 9)] == [5, 5, 5, 6, 9, 9]
    assert [chain.next_start(offset) for offset in (5, 6, 9)] == [7, 7, None]


def test_only_objects_behind_a_committed_boundary_are_asked_for() -> None:
    chain = objects(at_0=(3, "id"), at_3=(5, "id"))
    chain.load(3, end=5)
    assert (chain.next_start(0), chain.first_free(3)) == (3, 5)


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_objects_are_found_where_their_offsets_have_more_digits_than_the_key(width: int) -> None:
    chain = objects(width, at_8=(95, "id"), at_95=(105, "id"), at_105=(115, "id"))
    chain.load(95, end=120)
    assert (chain.first_free(95), chain.next_start(0)) == (115, 95)


def test_an_object_of_a_former_topic_holds_nothing() -> None:
    chain = objects(at_0=(3, "former"))
    chain.load(0, None)
    assert (chain.first_free(1), chain.next_start(0)) == (1, None)


def batch(start: int) -> Batch:
    return Batch(start, start + 1, 1, b"{}\n", start)


def test_uploads_are_in_order_and_only_what_is_contiguous_is_safe() -> None:
    gates = {start: threading.Event() for start in range(3)}

    def write(b: Batch) -> None:
        gates[b.start].wait(5)

    uploads = Uploads(write, parallel=3)
    for start in range(3):
        uploads.submit(batch(start))
    gates[1].set()
    gates[2].set()
    for written in list(uploads._waiting)[1:]:
        written[1].result(5)
    assert uploads.first_unwritten() == batch(0)
    gates[0].set()
    assert uploads.wait(5)
    assert uploads.first_unwritten() is None


def test_the_partitions_of_a_task_share_its_limit_of_uploads() -> None:
    open_gate, two_wait, at_once, most = threading.Event(), threading.Event(), [], []

    def write(b: Batch) -> None:
        at_once.append(b)
        most.append(len(at_once))
        if len(at_once) == 2:
            two_wait.set()
        open_gate.wait(5)
        at_once.remove(b)

    puts = threading.BoundedSemaphore(2)
    partitions = [Uploads(write, 2, puts) for _ in range(3)]
    for uploads in partitions:
        for start in range(4):
            uploads.submit(batch(start))
    assert two_wait.wait(5)
    open_gate.set()
    assert all(uploads.wait(5) for uploads in partitions)
    assert (len(most), max(most)) == (12, 2)


def test_after_a_failed_upload_nothing_behind_it_is_written() -> None:
    written = []

    def write(b: Batch) -> None:
        if b.start == 1:
            raise OSError("no")
        written.append(b.start)

    uploads = Uploads(write, parallel=1)
    for start in range(3):
        uploads.submit(batch(start))
    assert uploads.wait(5)
    assert written == [0]
    assert uploads.first_unwritten() == batch(1)
    assert isinstance(uploads.error, OSError)


class Around:
    """A partition's surroundings: what was written to S3 and settled in the dead-letter topic, in order."""

    def __init__(self, flush_size: int = 10, letters_fail: bool = False) -> None:
        self.done: list[object] = []
        self._letters_fail = letters_fail
        bucket: Any = self
        config = parse({**CONFIG, "flush.size": str(flush_size)}, WORKER)
        self.partition = Partition(config, PartitionObjects(bucket, config, "t", 0, "id"), self._keep, self._settle, 0)

    def read(self, *values: bytes) -> None:
        """Read these values, the first one at offset 0; `bad` is a dead letter."""
        records: list[Any] = [SimpleNamespace(offset=offset, value=value) for offset, value in enumerate(values)]
        self.partition.add(records)

    def flush(self) -> None:
        """Cut the buffer and wait until the objects are written."""
        self.partition.flush()
        self.partition.uploads.wait(5)

    def put(self, key: str, batch: Batch, topic_id: str) -> bool:
        self.done.append((batch.start, batch.next_offset))
        return True

    def _keep(self, record: Any) -> bytes | None:
        return None if record.value == b"bad" else bytes(record.value)

    def _settle(self) -> None:
        if self._letters_fail:
            raise KafkaTimeoutError
        self.done.append("letters")


def test_dead_letters_are_settled_before_the_object_whose_range_holds_them() -> None:
    around = Around()
    around.read(b"0", b"bad", b"2", b"bad")
    around.flush()
    assert around.done == ["letters", (0, 3)]


def test_while_dead_letters_cannot_be_written_their_object_is_not_written() -> None:
    around = Around(letters_fail=True)
    around.read(b"0", b"bad", b"2")
    with pytest.raises(KafkaTimeoutError):
        around.flush()
    assert around.done == []
    assert around.partition.safe() == 0


def test_only_what_was_written_can_be_committed_and_nothing_that_was_skipped_behind_it() -> None:
    around = Around(flush_size=2)
    around.read(b"bad", b"1", b"2", b"bad", b"bad")
    around.flush()
    assert around.partition.safe() == 3
    around = Around()
    around.read(b"bad", b"bad")
    around.flush()
    assert (around.done, around.partition.safe(), around.partition.position) == ([], 0, 2)


def test_letters_outside_the_range_of_an_object_do_not_hold_it_up() -> None:
    around = Around(flush_size=2)
    around.read(b"bad", b"1", b"2", b"bad", b"4", b"5")
    around.flush()
    assert around.done == [(1, 3), (4, 6)]


def test_dead_letters_that_fail_while_one_partition_is_read_reopen_all() -> None:
    """A failed flush tells of letters that other partitions' records have become, too."""
    task: Any = Task(parse(CONFIG, WORKER), 0, "nowhere:9092", 1, lambda: None)
    task.ask_to_stop()  # so that it does not wait a second
    task._consumer = SimpleNamespace(assign=lambda partitions: None)
    one, other = Around(flush_size=2, letters_fail=True), Around()
    task._open = {
        TopicPartition("t", number): (Assignment("id", 1), each.partition) for number, each in enumerate((one, other))
    }
    records = [SimpleNamespace(offset=offset, value=value) for offset, value in enumerate((b"0", b"bad", b"2"))]
    task._add(TopicPartition("t", 0), records)
    assert task._open == {}


def test_partitions_are_assigned_evenly_and_never_move() -> None:
    a, b, c, d = (TopicPartition(topic, 0) for topic in "abcd")
    assigned = assign_partitions({b: "1", c: "2"}, [{}, {}, {}])
    assert assigned == [{b: "1"}, {c: "2"}, {}]
    assigned = assign_partitions({a: "0", b: "1", c: "2", d: "3"}, assigned)
    assert assigned == [{b: "1", d: "3"}, {c: "2"}, {a: "0"}]
    assert assign_partitions({b: "new", d: "3"}, assigned) == [{b: "new", d: "3"}, {}, {}]
