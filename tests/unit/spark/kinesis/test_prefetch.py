"""Reading ahead: shards, resharding, targets, limits, and what becomes of errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pyspark_kinesis import client
from pyspark_kinesis.errors import DataLossError, KinesisError
from pyspark_kinesis.lineage import Step
from pyspark_kinesis.offsets import Position
from pyspark_kinesis.prefetch import Prefetch
from tests.unit.spark.kinesis import recorded
from tests.unit.spark.kinesis.fake import SECOND, FakeKinesis

Make = Callable[..., Prefetch]
NAMES = [f"shardId-{number:012d}" for number in range(6)]


def rows(steps: list[Step]) -> list[str]:
    return [text.decode() for step in steps if step.rows is not None for text in step.rows["data"].to_pylist()]


def collect(prefetch: Prefetch, count: int, patience: float = 10) -> list[Step]:
    """Steps until there are so many rows."""
    steps: list[Step] = []
    deadline = time.monotonic() + patience
    while len(rows(steps)) < count:
        assert time.monotonic() < deadline, rows(steps)
        steps += prefetch.take(0.1)
    return steps


def drain(prefetch: Prefetch) -> list[Step]:
    steps: list[Step] = []
    while taken := prefetch.take(0):
        steps += taken
    return steps


def test_all_shards_are_read(kinesis: FakeKinesis, prefetch: Make) -> None:
    for number in range(3):
        kinesis.shard(number)
        kinesis.put(number, f"{number}a", f"{number}b")
    steps = collect(prefetch(), 6)
    assert sorted(rows(steps)) == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert {step.shard for step in steps if step.begins} == set(NAMES[:3])


def test_many_shards_are_listed_page_by_page(kinesis: FakeKinesis, prefetch: Make) -> None:
    for number in range(5):
        kinesis.shard(number)
        kinesis.put(number, str(number))
    steps = collect(prefetch(maxShardsPerDescribe="2"), 5)
    assert sorted(rows(steps)) == ["0", "1", "2", "3", "4"]


def test_children_come_after_their_parents_ends(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, *(f"parent {number}" for number in range(30)))
    kinesis.shard(1, 0)
    kinesis.shard(2, 0)
    kinesis.put(1, "child 1")
    kinesis.put(2, "child 2")
    kinesis.shard(3, 1, 2)
    kinesis.put(3, "grandchild")
    steps = collect(prefetch(maxRecordsPerFetch="10", shardsPerTask="1"), 33)
    read = rows(steps)
    assert read[:30] == [f"parent {number}" for number in range(30)]
    assert set(read[30:32]) == {"child 1", "child 2"}
    assert read[32] == "grandchild"
    ended = [step.shard for step in steps if step.position and step.position.kind == "SHARD_END"]
    assert ended[0] == NAMES[0] and set(ended[1:]) == {NAMES[1], NAMES[2]}


def test_the_recorded_lineage_is_understood(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.streams["s"] = {entry["ShardId"]: entry for entry in recorded.LISTED}
    kinesis.records = {("s", entry["ShardId"]): [] for entry in recorded.LISTED}
    for number in range(5):
        kinesis.put(number, str(number))
    read = rows(collect(prefetch(), 5))
    assert read.index("0") < min(read.index("2"), read.index("3")) < max(read.index("2"), read.index("3"))
    assert read.index("4") > max(read.index("2"), read.index("3"))


def test_a_shard_that_resharding_makes_in_mid_read_is_read_from_its_first_record(
    kinesis: FakeKinesis, prefetch: Make
) -> None:
    kinesis.shard(0)
    kinesis.put(0, "old", at=SECOND)
    reader = prefetch(initial=Position("LATEST", timestamp=SECOND + 10))
    assert not rows(reader.take(0))
    kinesis.shard(1, 0)
    kinesis.put(1, "before the listing", at=SECOND + 20)
    assert rows(collect(reader, 1)) == ["before the listing"]


def test_a_restart_reads_no_closed_shard_again(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    (number,) = kinesis.put(0, "old")
    kinesis.shard(1, 0)
    kinesis.put(1, "new")
    reader = prefetch({"s": {NAMES[0]: Position("SHARD_END", number, SECOND)}})
    assert rows(collect(reader, 1)) == ["new"]
    assert not kinesis.count("GetShardIterator", ShardId=NAMES[0])


def test_a_closed_shard_whose_retention_is_over_leaves(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(1)
    reader = prefetch({"s": {NAMES[0]: Position("SHARD_END", "5", SECOND), NAMES[1]: Position("TRIM_HORIZON")}})
    kinesis.put(1, "x")
    assert Step("s", NAMES[0], None) in collect(reader, 1)


def test_a_shard_that_left_before_it_was_read_is_a_loss(
    kinesis: FakeKinesis, prefetch: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    kinesis.shard(1)
    kinesis.put(1, "x")
    positions = {"s": {NAMES[0]: Position.after("5", SECOND)}}
    with pytest.raises(DataLossError, match=NAMES[0]):
        collect(prefetch(positions), 1)
    assert Step("s", NAMES[0], None) in collect(prefetch(positions, failOnDataLoss="false"), 1)
    assert "WARNING" in capsys.readouterr().err


def test_a_shard_that_was_read_to_its_end_and_is_another_now_is_read(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0, first=5 * 10**55)
    kinesis.put(0, "new")
    positions = {"s": {NAMES[0]: Position("SHARD_END", "4" + "0" * 55, SECOND)}}
    with pytest.raises(DataLossError):
        collect(prefetch(positions), 1)
    assert rows(collect(prefetch(positions, failOnDataLoss="false"), 1)) == ["new"]


def test_a_shard_that_is_open_again_goes_on(kinesis: FakeKinesis, prefetch: Make) -> None:
    """A Kinesis that was killed may have forgotten that it split a shard."""
    kinesis.shard(0)
    number = kinesis.put(0, "old")[-1]
    kinesis.put(0, "new", at=SECOND + 1)
    positions = {"s": {NAMES[0]: Position("SHARD_END", number, SECOND)}}
    assert rows(collect(prefetch(positions, failOnDataLoss="false"), 1)) == ["new"]


def test_a_stream_made_anew_in_mid_read_is_noticed(kinesis: FakeKinesis, prefetch: Make) -> None:
    """Its iterators go on to work in kinesis-local, on the new stream."""
    kinesis.shard(0)
    kinesis.put(0, "a", "b")
    reader = prefetch(failOnDataLoss="false")
    collect(reader, 2)
    kinesis.shard(0, first=9 * 10**55)
    kinesis.put(0, "new 1", "new 2", at=SECOND + 5)
    assert rows(collect(reader, 2)) == ["new 1", "new 2"]


def test_latest_loses_nothing_that_comes_after_the_start(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.shard(1, 0)
    kinesis.put(0, "closed", at=SECOND)
    kinesis.put(1, "before", at=SECOND + 10)
    kinesis.put(1, "since", at=SECOND + 20)
    reader = prefetch(initial=Position("LATEST", timestamp=SECOND + 15))
    steps = collect(reader, 1)
    assert rows(steps) == ["since"]
    begun = {step.shard: step.position for step in steps if step.begins}
    assert begun[NAMES[1]] == Position("AT_TIMESTAMP", timestamp=SECOND + 15)
    assert (closed := begun[NAMES[0]]) is not None and closed.kind == "SHARD_END"


def test_a_time_holds_for_children_too(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, "1", at=SECOND)
    kinesis.shard(1, 0)
    kinesis.put(1, "2", at=SECOND + 10)
    kinesis.put(1, "3", at=SECOND + 20)
    reader = prefetch(initial=Position("AT_TIMESTAMP", timestamp=SECOND + 15), target=SECOND + 100)
    assert rows(drain(reader)) == ["3"]


def test_a_target_is_reached_and_not_passed(kinesis: FakeKinesis, prefetch: Make) -> None:
    for number in range(2):
        kinesis.shard(number)
        kinesis.put(number, f"{number} before", at=SECOND)
    kinesis.put(0, "after", at=SECOND + 20)
    kinesis.shard(2, 0)
    kinesis.put(2, "in a child", at=SECOND + 30)
    steps = drain(prefetch(target=SECOND + 10))
    assert sorted(rows(steps)) == ["0 before", "1 before"]
    assert [step.position.arrived for step in steps if step.position and step.shard == NAMES[0]][-1] == SECOND


def test_a_target_takes_closed_shards_and_their_children(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, "parent", at=SECOND)
    kinesis.shard(1, 0)
    kinesis.put(1, "child", at=SECOND + 5)
    assert rows(drain(prefetch(target=SECOND + 10))) == ["parent", "child"]


def test_an_empty_stream_drains_at_once(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    assert rows(drain(prefetch(target=SECOND))) == []


def test_a_full_buffer_stops_the_reading(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, *("x" * 100 for _ in range(50)))
    reader = prefetch(maxRecordsPerFetch="5", fetchBufferSize="1k")
    before = len(rows(reader.take(0)))
    time.sleep(1.0)
    taken = len(rows(reader.take(0)))
    assert 5 <= taken <= 10
    assert len(rows(collect(reader, 50 - before - taken))) == 50 - before - taken


def test_a_backlog_is_gathered_and_what_is_new_is_there_at_once(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, *(str(number) for number in range(40)))
    reader = prefetch(maxRecordsPerFetch="10")
    taken = [len(rows(reader.take(0.5))) for _ in range(2)]
    assert sum(taken) == max(taken) == 40
    kinesis.put(0, "new")
    began = time.monotonic()
    assert rows(collect(reader, 1)) == ["new"]
    assert time.monotonic() - began < 5


def test_a_backlog_is_gathered_no_longer_than_asked_for(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.put(0, *(str(number) for number in range(200)))
    reader = prefetch(maxRecordsPerFetch="5", maxFetchDuration="400ms")
    taken = [len(rows(reader.take(0.5))) for _ in range(2)]
    assert 5 <= max(taken) < 100


def test_the_fetch_period_is_kept(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    reader = prefetch(minFetchPeriod="300ms")
    reader.take(0)
    time.sleep(1.0)
    assert 2 <= kinesis.count("GetRecords") <= 5


def test_a_shard_rests_while_its_records_wait_and_is_looked_at_when_they_are_taken(
    kinesis: FakeKinesis, prefetch: Make
) -> None:
    kinesis.shard(0)
    kinesis.put(0, "early")
    reader = prefetch()
    time.sleep(1.0)
    assert kinesis.count("GetRecords") <= 2
    kinesis.put(0, "late")
    assert rows(reader.take(0)) == ["early", "late"]


def test_every_shard_has_its_turn_where_one_thread_reads_many_slowly(
    kinesis: FakeKinesis, prefetch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = kinesis.get_records

    def slow(**where: Any) -> Any:
        time.sleep(0.12)
        for number in range(5):
            kinesis.put(number, str(number))
        return original(**where)

    monkeypatch.setattr(kinesis, "get_records", slow)
    for number in range(5):
        kinesis.shard(number)
    reader = prefetch()
    for _ in range(8):
        reader.take(0)
        time.sleep(0.5)
    for name in NAMES[:5]:
        fetches = [call for kind, call in kinesis.calls if kind == "GetRecords" and name in call["ShardIterator"]]
        assert len(fetches) >= 4, name


def test_a_shard_that_rested_and_does_not_answer_keeps_nothing_waiting(
    kinesis: FakeKinesis, prefetch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinesis.shard(0)
    kinesis.put(0, "there")
    reader = prefetch()
    time.sleep(0.6)
    answer = threading.Event()
    monkeypatch.setattr(kinesis, "get_records", lambda **_: answer.wait(10))
    began = time.monotonic()
    assert rows(reader.take(0)) == ["there"]
    assert time.monotonic() - began < 8
    answer.set()


def test_the_fetch_rate_is_kept(kinesis: FakeKinesis, prefetch: Make) -> None:
    """0.001 MB/s: after 500 bytes half a second's rest."""
    kinesis.shard(0)
    kinesis.put(0, *("x" * 50 for _ in range(100)))
    reader = prefetch(maxRecordsPerFetch="10", maxFetchRate="0.001")
    began = time.monotonic()
    collect(reader, 30)
    assert time.monotonic() - began > 0.9


def test_a_throttled_shard_does_not_keep_others_waiting(
    kinesis: FakeKinesis, prefetch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinesis.shard(0)
    kinesis.shard(1)
    kinesis.put(0, "throttled")
    kinesis.put(1, "free")
    monkeypatch.setattr(client, "uniform", lambda low, high: high)
    kinesis.fail("GetRecords", *[recorded.THROTTLED] * 1)
    reader = prefetch(shardsPerTask="5")
    assert sorted(rows(collect(reader, 2))) == ["free", "throttled"]
    order = [call["ShardIterator"].split()[1] for name, call in kinesis.calls if name == "GetRecords"]
    assert order[:2] == [NAMES[0], NAMES[1]]


def test_a_stream_that_is_not_there_is_an_error_at_once(kinesis: FakeKinesis, prefetch: Make) -> None:
    with pytest.raises(
        KinesisError, match=r"ResourceNotFoundException: Stream .* not found\n  check streamName and region"
    ):
        prefetch(streamName="nope").take(0)


def test_a_stream_that_was_there_may_be_away_for_a_while(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    reader = prefetch()
    reader.take(0)
    there = kinesis.streams.pop("s")
    time.sleep(0.5)
    kinesis.streams["s"] = there
    kinesis.put(0, "after")
    assert rows(collect(reader, 1)) == ["after"]


def test_an_error_stays(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.fail("GetRecords", recorded.WRONG_KEY)
    reader = prefetch()
    for _ in range(2):
        with pytest.raises(KinesisError, match="UnrecognizedClientException"):
            collect(reader, 1)


def test_a_defect_is_no_silence(kinesis: FakeKinesis, prefetch: Make) -> None:
    kinesis.shard(0)
    kinesis.fail("GetRecords", RuntimeError("broken"))
    with pytest.raises(KinesisError, match=r"RuntimeError\('broken'\)"):
        collect(prefetch(), 1)


def test_threads_are_few(kinesis: FakeKinesis, prefetch: Make) -> None:
    for number in range(6):
        kinesis.shard(number)
        kinesis.put(number, str(number))
    before = threading.active_count()
    collect(prefetch(shardsPerTask="3"), 6)
    assert threading.active_count() - before == 2
