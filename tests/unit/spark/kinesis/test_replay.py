"""A micro-batch read again has the same rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyspark_kinesis.client import Kinesis
from pyspark_kinesis.errors import DataLossError
from pyspark_kinesis.lineage import Step
from pyspark_kinesis.offsets import NOTHING, Offset, Position
from pyspark_kinesis.options import Options
from pyspark_kinesis.replay import between
from pyspark_kinesis.stream import advance
from tests.unit.spark.kinesis import recorded
from tests.unit.spark.kinesis.fake import SECOND, FakeKinesis

FIRST, SECOND_SHARD = "shardId-000000000000", "shardId-000000000001"


@pytest.fixture
def replay(kinesis: FakeKinesis, options: Callable[..., Options]) -> Callable[..., list[str]]:
    def read(start: Offset, end: Offset, **given: str) -> list[str]:
        chosen = options(maxRecordsPerFetch="2", **given)
        batches = between(Kinesis(chosen, kinesis), chosen, start, end)
        return [text.decode() for batch in batches for text in batch["data"].to_pylist()]

    return read


Replay = Callable[..., list[str]]


def at(**shards: Position) -> Offset:
    names = {"first": FIRST, "second": SECOND_SHARD}
    return Offset({"s": {names[name]: position for name, position in shards.items()}}, {})


def after(number: str, arrived: int = SECOND) -> Position:
    return Position.after(number, arrived)


def test_after_the_start_and_up_to_the_end(kinesis: FakeKinesis, replay: Replay) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b", "c", "d", "e", "f", "g")
    assert replay(at(first=after(numbers[0])), at(first=after(numbers[4]))) == ["b", "c", "d", "e"]


def test_a_shard_that_did_not_move_is_not_asked(kinesis: FakeKinesis, replay: Replay) -> None:
    kinesis.shard(0)
    kinesis.shard(1)
    numbers = kinesis.put(0, "a", "b")
    other = after(kinesis.put(1, "x")[0])
    assert replay(at(first=after(numbers[0]), second=other), at(first=after(numbers[1]), second=other)) == ["b"]
    assert not kinesis.count("GetShardIterator", ShardId=SECOND_SHARD)


def test_the_first_micro_batch_begins_where_its_end_says(kinesis: FakeKinesis, replay: Replay) -> None:
    """Whatever `latest` would be now."""
    kinesis.shard(0)
    kinesis.put(0, "old", at=SECOND)
    number = kinesis.put(0, "new", at=SECOND + 10)[-1]
    begun = Step("s", FIRST, Position("AT_TIMESTAMP", timestamp=SECOND + 5), begins=True)
    assert replay(NOTHING, advance(NOTHING, [begun, Step("s", FIRST, after(number, SECOND + 10))], {"s"})) == ["new"]


def test_a_shard_that_resharding_made_begins_at_its_first_record(kinesis: FakeKinesis, replay: Replay) -> None:
    kinesis.shard(0)
    parent = kinesis.put(0, "a", "b")
    kinesis.shard(1, 0)
    child = kinesis.put(1, "c", "d")
    end = at(first=Position("SHARD_END", parent[1], SECOND), second=after(child[0]))
    assert replay(at(first=after(parent[0])), end) == ["b", "c"]


def test_trouble_that_passes_changes_nothing(
    kinesis: FakeKinesis, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b", "c", "d")
    for call in ("ListShards", "GetShardIterator", "GetRecords"):
        kinesis.fail(call, recorded.THROTTLED)
    kinesis.fail("GetRecords", recorded.EXPIRED, recorded.BROKEN)
    assert replay(at(first=after(numbers[0])), at(first=after(numbers[3]))) == ["b", "c", "d"]


def test_an_end_that_was_lost_is_an_error(kinesis: FakeKinesis, replay: Replay) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b", "c")
    kinesis.lose(0, 1)
    with pytest.raises(DataLossError, match=f"s {FIRST}: the position {numbers[2]}"):
        replay(at(first=after(numbers[0])), at(first=after(numbers[2])))


def test_without_fail_on_data_loss_this_and_the_next_micro_batch_have_all_that_is_left(
    kinesis: FakeKinesis, replay: Replay
) -> None:
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b", "lost 1", "lost 2")
    kinesis.lose(0, 2)
    new = kinesis.put(0, "new 1", "new 2", at=SECOND + 5000)
    end = at(first=after(numbers[3]))
    assert replay(at(first=after(numbers[0])), end, failOnDataLoss="false") == ["b"]
    assert replay(end, at(first=after(new[1], SECOND + 5000)), failOnDataLoss="false") == ["new 1", "new 2"]


def test_records_whose_retention_is_over_are_missed(kinesis: FakeKinesis, replay: Replay) -> None:
    """AWS gives an iterator for them, at the oldest record that is left."""
    kinesis.shard(0)
    numbers = kinesis.put(0, "a", "b", "c", "d")
    kinesis.get_shard_iterator = lambda **where: {"ShardIterator": f"s {FIRST} 3"}  # type: ignore[method-assign]
    with pytest.raises(DataLossError):
        replay(at(first=after(numbers[0])), at(first=after(numbers[2])))


def test_a_shard_that_has_gone_is_a_loss(kinesis: FakeKinesis, replay: Replay) -> None:
    kinesis.shard(1)
    with pytest.raises(DataLossError, match=FIRST):
        replay(at(first=after("5")), at(first=after("6")))
    assert replay(at(first=after("5")), at(first=after("6")), failOnDataLoss="false") == []
