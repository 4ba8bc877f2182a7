"""The reader as Spark's planner uses it: inside Spark's own wrapper, which keeps and compares offsets."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql.datasource_internal import _SimpleStreamReaderWrapper
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.streaming.datasource import ReadAllAvailable

from pyspark_kinesis import SCHEMA, DefaultSource, client
from pyspark_kinesis.batch import BatchReader
from pyspark_kinesis.errors import KinesisError
from pyspark_kinesis.options import Options
from pyspark_kinesis.rows import ARROW
from pyspark_kinesis.stream import StreamReader
from tests.unit.spark.kinesis.fake import SECOND, FakeKinesis


class Spark:
    """What Spark does with a source, without a sink."""

    def __init__(self, reader: StreamReader) -> None:
        self.reader = _SimpleStreamReaderWrapper(reader)
        self.offset: dict[str, Any] = self.reader.initialOffset()

    def batch(self) -> list[str]:
        """The rows of the next micro-batch; offsets pass through the checkpoint's JSON."""
        end = json.loads(json.dumps(self.reader.latestOffset(self.offset, ReadAllAvailable())))
        self.reader.partitions(self.offset, end)
        cached = self.reader.getCache(self.offset, end)
        batches = list(cached) if cached is not None else []
        self.last, self.offset = self.offset, end
        return [text.decode() for batch in batches for text in batch["data"].to_pylist()]

    def batches(self, count: int) -> list[str]:
        rows: list[str] = []
        deadline = time.monotonic() + 10
        while len(rows) < count:
            assert time.monotonic() < deadline, rows
            rows += self.batch()
            self.reader.commit(self.offset)
        return rows


@pytest.fixture
def spark(
    kinesis: FakeKinesis, options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Spark]:
    monkeypatch.setattr(client, "connect", lambda options: kinesis)
    return lambda **given: Spark(StreamReader(options(**{"initialPosition": "earliest"} | given)))


def test_the_columns_are_as_spark_wants_them() -> None:
    from pyspark.sql.types import StructType

    columns = [column.split() for column in SCHEMA.split(", ")]
    schema = StructType()
    for name, kind in columns:
        schema = schema.add(name, kind)
    assert to_arrow_schema(schema, timezone="UTC").equals(ARROW)


def test_another_schema_is_refused() -> None:
    from pyspark.sql.types import StructType

    with pytest.raises(KinesisError, match="the columns of a Kinesis stream are fixed"):
        DefaultSource({"streamName": "s"}).reader(StructType().add("data", "string"))


def test_micro_batches_follow_each_other(kinesis: FakeKinesis, spark: Callable[..., Spark]) -> None:
    kinesis.shard(0)
    kinesis.put(0, "a", "b")
    query = spark()
    assert query.batches(2) == ["a", "b"]
    kinesis.put(0, "c")
    assert query.batches(1) == ["c"]
    before = query.offset
    assert query.batch() == [] and query.offset == before, "nothing new: no micro-batch"


def test_the_position_is_in_the_first_offset_before_any_record_is_read(
    kinesis: FakeKinesis, spark: Callable[..., Spark]
) -> None:
    kinesis.shard(0)
    query = spark(initialPosition="latest")
    query.batch()
    assert query.offset["streams"]["s"]["shardId-000000000000"]["type"] == "AT_TIMESTAMP"
    assert query.offset["began"] == query.offset["streams"]


def test_a_replay_has_the_rows_that_were_planned(kinesis: FakeKinesis, spark: Callable[..., Spark]) -> None:
    kinesis.shard(0)
    kinesis.put(0, "a")
    query, reader = spark(), spark().reader
    query.batches(1)
    kinesis.put(0, "b", "c")
    while not (rows := query.batch()):
        pass
    kinesis.put(0, "d")
    again = pickle.loads(pickle.dumps(reader)).simple_reader.readBetweenOffsets(query.last, query.offset)
    assert [text.decode() for batch in again for text in batch["data"].to_pylist()] == rows == ["b", "c"]


def test_another_streams_checkpoint_is_refused(kinesis: FakeKinesis, spark: Callable[..., Spark]) -> None:
    """Three queries on one checkpoint: each would go on at the others' offsets."""
    kinesis.shard(0)
    kinesis.put(0, "a")
    first = spark()
    first.batches(1)
    second = spark(streamName="streaming-1-geo").reader.simple_reader
    told = "belongs to the stream s, but the query reads streaming-1-geo: two queries share one checkpointLocation"
    with pytest.raises(KinesisError, match=told) as error:
        second.read(first.offset)
    assert '.option("checkpointLocation", "/checkpoints/streaming-1-geo")' in str(error.value)


def test_a_micro_batch_of_another_stream_is_not_replayed(kinesis: FakeKinesis, spark: Callable[..., Spark]) -> None:
    kinesis.shard(0)
    kinesis.put(0, "a")
    first = spark()
    first.batches(1)
    second = spark(streamName="streaming-1-geo").reader.simple_reader
    with pytest.raises(KinesisError, match="belongs to the stream s, but the query reads streaming-1-geo"):
        list(second.readBetweenOffsets(second.initialOffset(), first.offset))


def test_a_query_can_add_a_stream_and_later_drop_the_first(kinesis: FakeKinesis, spark: Callable[..., Spark]) -> None:
    kinesis.streams["new"] = {}
    for stream in ("s", "new"):
        kinesis.shard(0, stream=stream)
        kinesis.put(0, f"of {stream}", stream=stream)
    query = spark()
    assert query.batches(1) == ["of s"]
    for names, row in (("s,new", "of new"), ("new", "later")):
        if names == "new":
            kinesis.put(0, row, stream="new")
        changed = spark(streamName=names)
        changed.offset = query.offset
        assert changed.batches(1) == [row]
        query = changed
    assert list(query.offset["streams"]) == ["new"]


def test_committed_rows_are_let_go(kinesis: FakeKinesis, spark: Callable[..., Spark]) -> None:
    kinesis.shard(0)
    kinesis.put(0, "a")
    query = spark()
    query.batches(1)
    kinesis.put(0, "b")
    query.batches(1)
    assert not [batch for entry in query.reader.cache for batch in entry.iterator]


def test_available_now_ends(kinesis: FakeKinesis, spark: Callable[..., Spark]) -> None:
    kinesis.shard(0)
    kinesis.put(0, "a", "b", "c")
    query = spark(maxRecordsPerFetch="1")
    query.reader.simple_reader.prepareForTriggerAvailableNow()
    kinesis.put(0, "too late", at=(int(time.time()) + 60) * 1000)
    rows: list[str] = []
    before = None
    while before != query.offset:
        before = query.offset
        rows += query.batch()
    assert rows == ["a", "b", "c"]


def test_a_batch_query_reads_all_shards_up_to_now(
    kinesis: FakeKinesis, options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "connect", lambda options: kinesis)
    for number in range(6):
        kinesis.shard(number)
        kinesis.put(number, str(number), at=SECOND)
        kinesis.put(number, "too late", at=(int(time.time()) + 60) * 1000)
    reader = BatchReader(options())
    partitions = reader.partitions()
    assert len(partitions) == 2
    rows = [text for part in partitions for batch in reader.read(part) for text in batch["data"].to_pylist()]
    assert sorted(rows) == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_a_batch_query_cannot_begin_at_the_end(options: Callable[..., Options]) -> None:
    with pytest.raises(KinesisError, match="cannot begin at initialPosition latest"):
        BatchReader(options(initialPosition="latest"))
