"""(s) the streams: from post to table, how much for how long, a backlog, memory; beside the plain ways."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import requests
from deltalake import DeltaTable

from foundation.registry import TABLES
from services.spark.native import warehouse
from tests.stack import TestStack

BACKLOG = 100_000


@dataclass
class Tables:
    """The rows of the three stream tables: reads only commits and files that it has not seen before."""

    stack: TestStack
    tables: list[DeltaTable] = field(init=False)
    seen: set[str] = field(default_factory=set)
    rows: int = 0

    def __post_init__(self) -> None:
        self.tables = [DeltaTable(str(path)) for path in self._paths()]

    def _paths(self) -> list[Path]:
        return [warehouse(self.stack.profile) / f"{self.stack.profile.uid}_{kind}_table" for kind in TABLES]

    def new(self) -> list[int]:
        """``ind`` of all rows that came since the last call."""
        found: list[int] = []
        for path, table in zip(self._paths(), self.tables, strict=True):
            # Looked at so often that reading a log in which nothing is new would take a share of the two cores.
            if self.rows and not (path / "_delta_log" / f"{table.version() + 1:020}.json").exists():
                continue
            table.update_incremental()
            for file in set(table.file_uris()) - self.seen:
                self.seen.add(file)
                found += pq.read_table(file, columns=["ind"]).column(0).to_pylist()
        self.rows += len(found)
        return found

    def wait(self, rows: int, timeout: float = 600) -> None:
        """Until that many rows have come; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while self.rows < rows:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.rows} of {rows} rows in the tables after {timeout:.0f} s")
            self.new()
            time.sleep(0.1)


def lag(stack: TestStack, rate: int, seconds: int = 40) -> tuple[float, float]:
    """Seconds from a post's requests to its row in a table, three tables, ``rate`` posts per second: p50, p95."""
    tables, records = Tables(stack), _records(stack)
    tables.new()
    session, free = requests.Session(), 6_000_000 + tables.rows
    sent: dict[int, float] = {}
    lags: list[float] = []
    together = max(1, rate // 10)

    def look(until: Callable[[], bool]) -> None:
        while True:
            rows = tables.new()
            now = time.monotonic()
            lags.extend(now - sent[ind] for ind in rows if ind in sent)
            if until():
                return
            time.sleep(0.02)

    with ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        for first in range(0, rate * seconds, together):
            due = began + first / rate
            look(lambda due=due: time.monotonic() >= due)  # type: ignore[misc]
            posts = range(free + first, free + first + together)
            sent |= dict.fromkeys(posts, time.monotonic())
            list(pool.map(lambda kind, posts=posts: _put(stack, session, kind, records[kind], posts), TABLES))
        deadline = time.monotonic() + 60
        look(lambda: len(lags) >= 3 * len(sent) or time.monotonic() > deadline)
    if len(lags) < 3 * len(sent):
        raise TimeoutError(f"only {len(lags)} of {3 * len(sent)} rows came into the tables")
    cuts = statistics.quantiles(lags, n=100)
    return cuts[49], cuts[94]


def sustained(stack: TestStack) -> float:
    """Records per second from MySQL until in the tables: every post of the source once, by `make emulate-stream`."""
    tables = Tables(stack)
    tables.new()
    began, before = time.monotonic(), tables.rows
    summary = stack.emulate("--order", "sequential", "--count", "11154", "--rate", "max", command="stream")
    tables.wait(before + summary["records"])
    return float(summary["records"] / (time.monotonic() - began))


def one_by_one(stack: TestStack, posts: int = 100) -> float:
    """Records per second of the well-known script without its sleeps: a request a record, only until accepted."""
    records = _records(stack)
    began = time.monotonic()
    for number in range(posts):
        for kind, record in records.items():
            with requests.Session() as session:
                _put(stack, session, kind, record, range(number, number + 1))
    return 3 * posts / (time.monotonic() - began)


@dataclass(frozen=True)
class CatchUp:
    """Records per second over a backlog: read, cleaned and appended; and by a bare reader that writes nothing."""

    ours: float
    bare: float


def catch_up(stack: TestStack) -> CatchUp:
    """Stop the streams, put a backlog into Kinesis, read it with boto3 alone, start the streams again."""
    tables = Tables(stack)
    tables.new()
    stack.pinflow("stream-stop")
    before, began = tables.rows, _ends(stack)
    _put_backlog(stack)
    started = time.monotonic()
    read = sum(_read(stack, *shard) for shard in began)
    bare = read / (time.monotonic() - started)
    stack.pinflow("stream")
    started = time.monotonic()
    tables.new()
    # Since it began before `make stream` was done with waiting for it, what it has by then does not count.
    there = tables.rows - before
    tables.wait(before + read)
    return CatchUp((read - there) / (time.monotonic() - started), bare)


def memory(stack: TestStack) -> int:
    """Bytes (proportional set size) of the Spark server and the workspace, with every process below them."""
    total = 0
    for service in ("spark", "databricks"):
        root = psutil.Process(stack.pid(service))
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
    return total


def _records(stack: TestStack) -> dict[str, dict[str, Any]]:
    """A record of each table, as the emulator sends it."""
    source, found = stack.source(), {}
    for kind, table in TABLES.items():
        row = dict(zip(table.columns, source[table.source][0], strict=True))
        found[kind] = json.loads(json.dumps(row, default=lambda value: value.isoformat()))
    return found


def _streams(stack: TestStack) -> dict[str, str]:
    return dict(zip(TABLES, stack.profile.streams, strict=True))


def _put(stack: TestStack, session: requests.Session, kind: str, record: dict[str, Any], posts: range) -> None:
    key = TABLES[kind].key
    stream = _streams(stack)[kind]
    url = f"{stack.profile.api.invoke_url}/streams/{stream}"
    rows = [record | {key: post} for post in posts]
    if len(rows) == 1:
        body: dict[str, Any] = {"StreamName": stream, "Data": rows[0], "PartitionKey": str(posts[0])}
        session.put(f"{url}/record", json=body, timeout=30).raise_for_status()
    else:
        body = {"records": [{"data": row, "partition-key": str(row[key])} for row in rows]}
        session.put(f"{url}/records", json=body, timeout=30).raise_for_status()


def _put_backlog(stack: TestStack) -> None:
    records, kinesis = _records(stack), stack.client("kinesis")
    for kind, record in records.items():
        key = TABLES[kind].key
        for first in range(0, BACKLOG // 3, 500):
            entries = [
                {"Data": json.dumps(record | {key: 9_000_000 + ind}).encode(), "PartitionKey": str(ind)}
                for ind in range(first, min(first + 500, BACKLOG // 3))
            ]
            answer = kinesis.put_records(StreamName=_streams(stack)[kind], Records=entries)
            if answer["FailedRecordCount"]:
                raise RuntimeError(f"{answer['FailedRecordCount']} records of the backlog failed")


def _ends(stack: TestStack) -> list[tuple[str, str, str]]:
    """Every shard of the three streams and an iterator at its end: stream, shard, iterator."""
    kinesis, found = stack.client("kinesis"), []
    for stream in stack.profile.streams:
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
            iterator = kinesis.get_shard_iterator(
                StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="LATEST"
            )["ShardIterator"]
            found.append((stream, shard["ShardId"], iterator))
    return found


def _read(stack: TestStack, stream: str, shard: str, iterator: str) -> int:
    kinesis, count = stack.client("kinesis"), 0
    while iterator:
        answer = kinesis.get_records(ShardIterator=iterator)
        count += len(answer["Records"])
        if not answer["Records"] and not answer["MillisBehindLatest"]:
            break
        iterator = answer["NextShardIterator"]
    return count
