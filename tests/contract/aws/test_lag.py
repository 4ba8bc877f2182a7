"""How far a stream's query is behind, by the offsets that the two Kinesis sources write, read from moto's Kinesis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from foundation.aws import client
from foundation.profile import Profile
from pinflow.account.streams import Stream
from tests.contract.aws.conftest import write_profile

SHARDS = ("shardId-000000000000", "shardId-000000000001")


@pytest.fixture
def profile(moto: str, as_person: pytest.MonkeyPatch, tmp_path: Path) -> Profile:
    return write_profile(tmp_path / "p.yaml", moto)


@pytest.fixture
def numbers(profile: Profile) -> dict[str, list[str]]:
    """The sequence numbers, by shard, of three records in each of the first stream's two shards."""
    kinesis, stream = client(profile, "kinesis"), profile.streams[0]
    kinesis.create_stream(StreamName=stream, ShardCount=2)
    found: dict[str, list[str]] = {shard: [] for shard in SHARDS}
    for upper_half in (0, 1 << 127):
        for _ in range(3):
            put = kinesis.put_record(StreamName=stream, Data=b"{}", PartitionKey="k", ExplicitHashKey=str(upper_half))
            found[put["ShardId"]].append(put["SequenceNumber"])
    return found


def by_databricks(stream: str, shard: str, last: str | None, closed: bool = False) -> dict[str, Any]:
    """An element of `endOffset` as Databricks' page "Monitoring Structured Streaming queries" shows it."""
    return {
        "shard": {"stream": stream, "shardId": shard},
        "firstSeqNum": None,
        "lastSeqNum": last,
        "closed": closed,
        "msBehindLatest": "0",
        "lastRecordSeqNum": None,
    }


def records(profile: Profile, offset: Any) -> int | None:
    """As they are counted on this machine."""
    stream = Stream(profile, profile.streams[0])
    stream.refresh()
    lag = stream.lag(offset)
    return lag.records if lag else None


def test_ours_and_databricks_say_the_same(profile: Profile, numbers: dict[str, list[str]]) -> None:
    stream = profile.streams[0]
    ours = {
        shard: {"type": "AFTER_SEQUENCE_NUMBER", "sequenceNumber": numbers[shard][0], "arrived": 1} for shard in SHARDS
    }
    theirs = [by_databricks(stream, shard, numbers[shard][0]) for shard in SHARDS]
    elsewhere = by_databricks("another", SHARDS[0], numbers[SHARDS[0]][2])
    for offset in ({"version": 1, "streams": {stream: ours}}, theirs, [*theirs, elsewhere]):
        assert records(profile, offset) == 4
        assert records(profile, json.dumps(offset)) == 4


def test_nothing_is_left_in_a_shard_that_is_closed_and_read(profile: Profile, numbers: dict[str, list[str]]) -> None:
    stream, (first, second) = profile.streams[0], SHARDS
    ours = {first: {"type": "SHARD_END", "sequenceNumber": "1"}, second: {"type": "TRIM_HORIZON"}}
    assert records(profile, {"version": 1, "streams": {stream: ours}}) == 3
    theirs = [
        by_databricks(stream, first, numbers[first][0], closed=True), by_databricks(stream, second, numbers[second][1]),
    ]  # fmt: skip
    assert records(profile, theirs) == 1


def test_what_was_counted_is_not_read_again(
    profile: Profile, numbers: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(profile, profile.streams[0])
    stream.refresh()
    given: list[int] = []
    original = stream._kinesis.get_records

    def counted(**arguments: Any) -> Any:
        answer = original(**arguments)
        given.append(len(answer["Records"]))
        return answer

    monkeypatch.setattr(stream._kinesis, "get_records", counted)
    client(profile, "kinesis").put_record(StreamName=stream.name, Data=b"{}", PartitionKey="k", ExplicitHashKey="0")
    for _ in range(3):
        stream.refresh()
    ours = {shard: {"type": "AFTER_SEQUENCE_NUMBER", "sequenceNumber": numbers[shard][0]} for shard in SHARDS}
    lag = stream.lag({"streams": {stream.name: ours}})
    assert (stream.records, lag and lag.records) == (7, 5)
    assert sum(given) == 1


def test_on_aws_one_record_a_shard_is_read_and_none_is_counted(
    profile: Profile, numbers: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GetRecords is limited to 2 MB a second and five requests a shard, for the query and everybody else."""
    stream = Stream(profile, profile.streams[0])
    asked: list[dict[str, Any]] = []
    original = stream._kinesis.get_records

    def noted(**given: Any) -> Any:
        asked.append(given)
        return original(**given)

    monkeypatch.setattr(stream._kinesis, "get_records", noted)
    theirs = [by_databricks(stream.name, shard, numbers[shard][0]) for shard in SHARDS]
    lag = stream.seconds_behind(theirs)
    assert lag is not None and lag.records is None
    assert 0 < lag.seconds < 600
    assert [given["Limit"] for given in asked] == [1, 1]
    at_the_end = [by_databricks(stream.name, shard, numbers[shard][-1]) for shard in SHARDS]
    lag = stream.seconds_behind(at_the_end)
    assert lag is not None and lag.seconds == 0


@pytest.mark.parametrize(
    "offset",
    [
        None, "", "not JSON", 7, [], [7], [{"shard": "x"}], {}, {"streams": []}, {"streams": {"another": {}}},
        [{"shard": {"stream": "streaming-abcdef012345-pin", "shardId": "s"}, "lastSeqNum": None}],
        {"streams": {"streaming-abcdef012345-pin": {"s": {"type": "SOON"}}}},
    ],
)  # fmt: skip
def test_any_other_offset_is_no_lag_and_no_error(profile: Profile, offset: Any) -> None:
    stream = Stream(profile, profile.streams[0])
    assert stream.lag(offset) is None
    assert stream.seconds_behind(offset) is None
