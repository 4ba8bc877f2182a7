"""The stream path as a person goes it: start the streams, post, look at tables, status and the comparison."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests import oracle
from tests.servers.waiting import wait_for
from tests.stack import TestStack

KINDS = {"pin": "pinterest_data", "geo": "geolocation_data", "user": "user_data"}
POSTS = 120
# Each for the stream of pins: what it is, and the bytes.
BAD = {
    "not JSON": b"{'index': 1}",
    "a list": b"[1, 2]",
    "a missing key": b'{"index": 1, "title": "t"}',
    "another table's record": b'{"ind": 1, "timestamp": "2020-01-01T00:00:00"}',
    "1 MB": b"x" * 1_000_000,
    "not UTF-8": b"\xff\xfe",
}


@pytest.fixture(scope="module")
def streamed(stack: TestStack) -> Iterator[TestStack]:
    """The stack after `make stream` and `make emulate-stream`, with bad records in between; stopped at the end."""
    stack.pinflow("stream")
    half = ("--rate", "max", "--count", str(POSTS // 2))
    first = stack.emulate(*half, command="stream")
    kinesis = stack.client("kinesis")
    for data in BAD.values():
        kinesis.put_record(StreamName=f"streaming-{stack.profile.uid}-pin", Data=data, PartitionKey="bad")
    second = stack.emulate(*half, "--start", str(POSTS // 2), "--batch-size", "1", command="stream")
    assert first["records"] + second["records"] == 3 * POSTS
    assert first["failures"] + second["failures"] == 0
    for kind in KINDS:
        stack.wait_for_rows(f"{kind}_table", POSTS)
    stack.wait_for_rows("stream_quarantine", len(BAD))
    yield stack
    stack.pinflow("stream-stop")


def sent(stack: TestStack) -> dict[str, Counter[int]]:
    """Per stream how often each post is in Kinesis, read with boto3 alone."""
    kinesis, found = stack.client("kinesis"), {}
    for kind in KINDS:
        stream, key = f"streaming-{stack.profile.uid}-{kind}", "index" if kind == "pin" else "ind"
        counts: Counter[int] = Counter()
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
            iterator = kinesis.get_shard_iterator(
                StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while True:
                answer = kinesis.get_records(ShardIterator=iterator)
                good = [record["Data"] for record in answer["Records"] if record["Data"] not in BAD.values()]
                counts.update(json.loads(data)[key] for data in good)
                if not answer["Records"]:
                    break
                iterator = answer["NextShardIterator"]
        found[kind] = counts
    return found


def test_each_record_of_kinesis_is_one_row(streamed: TestStack) -> None:
    for kind, counts in sent(streamed).items():
        assert counts.total() == POSTS
        assert Counter(row[0] for row in streamed.table(f"{kind}_table")) == counts, kind


def test_the_rows_are_what_the_oracle_makes_of_the_source(streamed: TestStack) -> None:
    posts = set(sent(streamed)["pin"])
    source = [[row for row in rows if row[0] in posts] for rows in streamed.source().values()]
    for kind, expected in oracle.tables(*source).items():
        if kind in KINDS:
            distinct = {row[0]: row for row in streamed.table(f"{kind}_table")}
            assert not oracle.compare(expected, [distinct[ind] for ind in sorted(distinct)]), kind


def test_what_does_not_fit_is_in_the_quarantine_once_with_place_and_reason(streamed: TestStack) -> None:
    rows = streamed.table("stream_quarantine")  # table, source, position, time, reason, raw, raw_bytes
    assert len(rows) == len(BAD)
    assert {(row[0], row[1]) for row in rows} == {("pin", f"streaming-{streamed.profile.uid}-pin")}
    assert all(row[2].startswith("shardId-") and row[3] and row[4] for row in rows)
    texts = {data.decode(errors="replace") for data in BAD.values()}
    assert {row[5] for row in rows} == texts


def test_status_shows_the_streams_and_that_nothing_waits(streamed: TestStack) -> None:
    def caught_up() -> bool:
        lines = streamed.pinflow("stream-status", "--once").stdout.splitlines()
        streams = [line.split() for line in lines if line.strip().startswith("streaming-")]
        # stream, query, records read, records/s, records behind, seconds behind, rows in table, quarantined
        return [(s[1], s[2], s[4], s[6], s[7]) for s in streams] == [
            ("running", str(POSTS + len(BAD)), "0", str(POSTS), str(len(BAD))),
            ("running", str(POSTS), "0", str(POSTS), "0"),
            ("running", str(POSTS), "0", str(POSTS), "0"),
        ]

    wait_for("the streams in stream-status", caught_up, timeout=30)
    assert "running" in streamed.pinflow("status", check=False).stdout


def test_both_layers_agree_on_the_posts_that_both_have_seen(streamed: TestStack) -> None:
    streamed.emulate("--count", str(POSTS), "--rate", "max")
    streamed.pinflow("batch")
    done = streamed.pinflow("compare")
    assert "both layers agree" in done.stdout
    pin = next(line.split() for line in done.stdout.splitlines() if line.strip().startswith("pin"))
    assert int(pin[1].replace(",", "")) == len(sent(streamed)["pin"])


@pytest.mark.long
def test_stopped_and_started_again_the_streams_go_on_where_they_were(streamed: TestStack) -> None:
    streamed.pinflow("stream-stop")
    assert "stopped" in streamed.pinflow("stream-status", "--once").stdout
    streamed.emulate("--rate", "max", "--count", "10", "--start", str(POSTS), command="stream")
    streamed.pinflow("stream")
    for kind in KINDS:
        assert len(streamed.wait_for_rows(f"{kind}_table", POSTS + 10)) == POSTS + 10
    assert len(streamed.table("stream_quarantine")) == len(BAD)
    again = streamed.pinflow("stream")
    assert "are running" in again.stderr
