"""(s) the streams: seconds from post to table, records per second, a backlog; beside the plain ways."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
import requests
from deltalake import DeltaTable

from bench import arrivals
from foundation.registry import TABLES
from services.spark.native import warehouse
from tests.stack import TestStack

BACKLOG = 100_000


class StreamTables(arrivals.Arrivals):
    """The rows of the three stream tables since this was made."""

    def __init__(self, stack: TestStack) -> None:
        home, uid = warehouse(stack.profile), stack.profile.uid
        self.paths = [home / f"{uid}_{name}_table" for name in TABLES]
        self.tables = [DeltaTable(str(path)) for path in self.paths]
        self.seen = {file for table in self.tables for file in table.file_uris()}

    def look(self) -> list[int]:
        found: list[int] = []
        for path, table in zip(self.paths, self.tables, strict=True):
            # Called so often that reading a log without anything new would take a share of the two cores.
            if not (path / "_delta_log" / f"{table.version() + 1:020}.json").exists():
                continue
            table.update_incremental()
            for file in set(table.file_uris()) - self.seen:
                self.seen.add(file)
                found += pq.read_table(file, columns=["ind"]).column(0).to_pylist()
        return found


def lag(stack: TestStack, rate: int, seconds: int = 40) -> tuple[float, float]:
    """Seconds from a post's requests to its row in a table, three tables, ``rate`` posts per second: p50, p95."""
    records, session = _records(stack), requests.Session()
    with ThreadPoolExecutor(3) as pool:

        def post(numbers: range) -> None:
            list(pool.map(lambda name: _put(stack, session, name, records[name], numbers), TABLES))

        return arrivals.lag(StreamTables(stack), post, rate, seconds)


def sustained(stack: TestStack) -> float:
    """Records per second from MySQL until in the tables: every post of the source once, by `make emulate-stream`."""
    tables, began = StreamTables(stack), time.monotonic()
    summary = stack.emulate("--order", "sequential", "--count", "11154", "--rate", "max", command="stream")
    tables.wait(summary["records"])
    return float(summary["records"] / (time.monotonic() - began))


def one_by_one(stack: TestStack, posts: int = 100) -> float:
    """Records per second of the well-known script without its sleeps: a request for each record, until accepted."""
    records, began = _records(stack), time.monotonic()
    for number in range(posts):
        for name, record in records.items():
            with requests.Session() as session:
                _put(stack, session, name, record, range(number, number + 1))
    return 3 * posts / (time.monotonic() - began)


@dataclass(frozen=True)
class CatchUp:
    """Records per second over a backlog: read, cleaned and appended; and by a bare reader that writes nothing."""

    ours: float
    bare: float


def catch_up(stack: TestStack) -> CatchUp:
    """Stop the streams, put a backlog into Kinesis, read it with boto3 alone, start the streams again."""
    stack.pinflow("stream-stop")
    tables, kinesis = StreamTables(stack), stack.client("kinesis")
    ends = [
        kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="LATEST")
        for stream in stack.profile.streams
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]
    ]
    _put_backlog(stack)
    started = time.monotonic()
    read = sum(_read(stack, end["ShardIterator"]) for end in ends)
    bare = read / (time.monotonic() - started)
    stack.pinflow("stream")
    started = time.monotonic()
    # `make stream` returns when the queries run already: what they have written by then does not count.
    before = len(tables.new())
    tables.wait(read)
    return CatchUp((read - before) / (time.monotonic() - started), bare)


def _records(stack: TestStack) -> dict[str, dict[str, Any]]:
    """A record of each table, as the emulator sends it."""
    source, found = stack.source(), {}
    for name, table in TABLES.items():
        row = dict(zip(table.columns, source[table.source][0], strict=True))
        found[name] = json.loads(json.dumps(row, default=lambda value: value.isoformat()))
    return found


def _streams(stack: TestStack) -> dict[str, str]:
    return dict(zip(TABLES, stack.profile.streams, strict=True))


def _put(stack: TestStack, session: requests.Session, name: str, record: dict[str, Any], posts: range) -> None:
    stream, key = _streams(stack)[name], TABLES[name].key
    url, rows = f"{stack.profile.api.invoke_url}/streams/{stream}", [record | {key: post} for post in posts]
    if len(rows) == 1:
        one = {"StreamName": stream, "Data": rows[0], "PartitionKey": str(posts[0])}
        session.put(f"{url}/record", json=one, timeout=30).raise_for_status()
    else:
        several = {"records": [{"data": row, "partition-key": str(row[key])} for row in rows]}
        session.put(f"{url}/records", json=several, timeout=30).raise_for_status()


def _put_backlog(stack: TestStack) -> None:
    kinesis = stack.client("kinesis")
    for name, record in _records(stack).items():
        for first in range(0, BACKLOG // 3, 500):
            posts = range(9_000_000 + first, 9_000_000 + min(first + 500, BACKLOG // 3))
            records = [record | {TABLES[name].key: post} for post in posts]
            entries = [
                {"Data": json.dumps(one), "PartitionKey": str(post)} for one, post in zip(records, posts, strict=True)
            ]
            answer = kinesis.put_records(StreamName=_streams(stack)[name], Records=entries)
            if answer["FailedRecordCount"]:
                raise RuntimeError(f"{answer['FailedRecordCount']} records of the backlog failed")


def _read(stack: TestStack, iterator: str) -> int:
    """How many records there are behind a shard iterator."""
    kinesis, count = stack.client("kinesis"), 0
    while iterator:
        answer = kinesis.get_records(ShardIterator=iterator)
        count += len(answer["Records"])
        if not answer["Records"] and not answer["MillisBehindLatest"]:
            break
        iterator = answer["NextShardIterator"]
    return count
