"""One shard: iterators, ends, and positions that are no longer there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyspark_kinesis.errors import DataLossError, KinesisError, ShardGoneError, TransientError
from pyspark_kinesis.offsets import TRIM_HORIZON, Position
from pyspark_kinesis.shard import Cursor, Page, Until, arrived
from tests.unit.spark.kinesis import recorded
from tests.unit.spark.kinesis.fake import SECOND, FakeKinesis

Make = Callable[..., Cursor]


def texts(page: Page) -> list[str]:
    return [record["Data"].decode() for record in page.records]


def test_it_reads_page_by_page_to_the_tip(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b", "c")
    reader = cursor(0, TRIM_HORIZON, maxRecordsPerFetch="2")
    assert (texts(reader.fetch()), reader.position) == (["a", "b"], Position.after(numbers[1], SECOND))
    assert texts(reader.fetch()) == ["c"]
    page = reader.fetch()
    assert (page.tip, page.closed) == (True, False)


def test_it_goes_on_after_a_record(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b")
    assert texts(cursor(0, Position.after(numbers[0], SECOND)).fetch()) == ["b"]


def test_a_closed_shard_ends(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a")
    kinesis.close(0)
    reader = cursor(0, TRIM_HORIZON)
    assert reader.fetch().closed
    assert reader.position == Position("SHARD_END", numbers[0], SECOND)


def test_an_expired_iterator_is_replaced_at_the_same_place(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, "a")
    reader = cursor(0, TRIM_HORIZON)
    reader.fetch()
    kinesis.put(0, "b")
    kinesis.fail("GetRecords", recorded.EXPIRED)
    assert texts(reader.fetch()) == ["b"]
    assert kinesis.count("GetShardIterator", ShardIteratorType="AFTER_SEQUENCE_NUMBER") == 1


@pytest.mark.parametrize("error", [recorded.THROTTLED, recorded.TOO_MANY_CALLS, recorded.BROKEN])
@pytest.mark.parametrize("call", ["GetRecords", "GetShardIterator"])
def test_trouble_that_passes_loses_no_place(
    kinesis: FakeKinesis, cursor: Make, call: str, error: tuple[str, str, int]
) -> None:
    kinesis.shard(0)
    kinesis.put(0, "a")
    reader = cursor(0, TRIM_HORIZON)
    kinesis.fail(call, error)
    with pytest.raises(TransientError):
        reader.fetch()
    assert texts(reader.fetch()) == ["a"]


def test_awss_words_are_quoted(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    reader = cursor(0, TRIM_HORIZON)
    kinesis.fail("GetShardIterator", recorded.WRONG_KEY)
    with pytest.raises(KinesisError, match="GetShardIterator on s: UnrecognizedClientException: The security token"):
        reader.fetch()


def test_a_time_is_exact_though_boto3_sends_whole_seconds(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, "early", at=SECOND + 100)
    kinesis.put(0, "late", at=SECOND + 200)
    assert texts(cursor(0, Position("AT_TIMESTAMP", timestamp=SECOND + 150)).fetch()) == ["late"]
    reader = cursor(0, Position("AT_TIMESTAMP", timestamp=SECOND + 300))
    assert texts(reader.fetch()) == []
    kinesis.put(0, "later", at=SECOND + 300)
    assert texts(reader.fetch()) == ["later"]


@pytest.mark.parametrize("error", [recorded.MISSING_RECORD, recorded.OUT_OF_RANGE])
def test_a_lost_position_is_an_error_that_says_what_to_do(
    kinesis: FakeKinesis, cursor: Make, error: tuple[str, str, int]
) -> None:
    kinesis.shard(0)
    number = kinesis.put(0, "a", "b")[-1]
    kinesis.fail("GetShardIterator", error)
    with pytest.raises(DataLossError) as failure:
        cursor(0, Position.after(number, SECOND)).fetch()
    for words in ("s shardId-000000000000", number, "2023-11-14 22:13:20 UTC", "failOnDataLoss=false", "checkpoint"):
        assert words in str(failure.value)


def test_without_fail_on_data_loss_it_goes_on_with_what_came_later(
    kinesis: FakeKinesis, cursor: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """kinesis-local counts on from its last save: new records have lower numbers than those it lost."""
    kinesis.shard(0)
    number = kinesis.put(0, "a", "b", "lost 1", "lost 2")[-1]
    kinesis.lose(0, 2)
    (lower,) = kinesis.put(0, "new", at=SECOND + 5000)
    assert int(lower) < int(number)
    reader = cursor(0, Position.after(number, SECOND), failOnDataLoss="false")
    assert texts(reader.fetch()) == ["new"]
    assert "WARNING s shardId-000000000000: the position" in capsys.readouterr().err


def test_a_stream_made_anew_is_a_loss_even_if_kinesis_accepts_the_position(kinesis: FakeKinesis, cursor: Make) -> None:
    """kinesis-local takes any number where a shard is empty."""
    kinesis.shard(0, first=5 * 10**55)
    old = Position.after("4" + "0" * 55, SECOND)
    with pytest.raises(DataLossError):
        cursor(0, old).fetch()
    reader = cursor(0, old, failOnDataLoss="false")
    reader.fetch()
    kinesis.put(0, "new", at=SECOND + 1)
    assert texts(reader.fetch()) == ["new"]


def test_a_shard_that_has_gone_is_a_loss(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    kinesis.shard(1)
    readers = [cursor(0, TRIM_HORIZON), cursor(0, TRIM_HORIZON, failOnDataLoss="false")]
    del kinesis.streams["s"]["shardId-000000000000"]
    with pytest.raises(DataLossError):
        readers[0].fetch()
    with pytest.raises(ShardGoneError):
        readers[1].fetch()


def test_a_stream_that_has_gone_is_no_loss_of_one_position(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    reader = cursor(0, TRIM_HORIZON)
    del kinesis.streams["s"]
    with pytest.raises(KinesisError, match="ListShards on s: ResourceNotFoundException: Stream arn"):
        reader.fetch()


def test_bounds(kinesis: FakeKinesis, cursor: Make) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b") + kinesis.put(0, "c", at=SECOND + 1)
    records = cursor(0, TRIM_HORIZON).fetch().records
    assert Until(numbers[1]).cut(records) == (records[:2], True)
    assert Until(str(int(numbers[1]) - 1)).cut(records) == (records[:1], True), "a number that is not there"
    assert Until(str(int(numbers[2]) + 1)).cut(records) == (records, False)
    assert Until(arrived=arrived(records[1])).cut(records) == (records[:2], True)
    assert Until().cut(records) == (records, False)
