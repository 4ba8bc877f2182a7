"""`format("kinesis")` in Spark, on LocalStack's Kinesis: what goes in comes out, once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.contract.kinesis.conftest import SECRET, Driver, Query, SparkError, Streams

Make = Callable[..., Query]


def texts(first: int, last: int) -> list[str]:
    return [f"record {number}" for number in range(first, last)]


def data(rows: list[list[Any]]) -> list[str]:
    """The texts of some rows, sorted as `texts` are."""
    return sorted((row[1] for row in rows), key=lambda text: int(text.split()[1]))


@contextmanager
def busy(processes: int, seconds: int) -> Iterator[None]:
    """Other processes keep all cores busy: for so long at most."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def held(query: Query) -> bool:
    """Whether a micro-batch with records is in the offset log, and not in the commit log."""
    begun = query.log("offsets")
    return any("AFTER_SEQUENCE_NUMBER" in begun[batch] for batch in begun.keys() - query.log("commits").keys())


def test_it_has_the_columns_of_databricks(driver: Driver) -> None:
    """Without registration, without a look at the stream, and whatever the case of the options."""
    assert driver.call("schema", options={"STREAMNAME": "any"}) == (
        "struct<partitionKey:string,data:binary,stream:string,shardId:string,sequenceNumber:string,"
        "approximateArrivalTimestamp:timestamp>"
    )


def test_every_record_of_every_shard_comes_once_and_a_restart_goes_on(streams: Streams, query: Make) -> None:
    names = [streams.make(shards=3), streams.make()]
    streams.put(names[0], texts(0, 900))
    streams.put(names[1], texts(900, 950))
    reader = query(", ".join(names))
    began = time.time() * 1000
    rows = reader.drain()
    assert data(rows) == texts(0, 950)
    assert {(row[2], row[3]) for row in rows} == {(n, shard["ShardId"]) for n in names for shard in streams.shards(n)}
    assert all(row[0] == row[1] and row[4].isdecimal() for row in rows)
    assert all(began - 60_000 < row[5] < began for row in rows)
    streams.put(names[0], texts(950, 1000))
    assert data(reader.drain()) == texts(0, 1000)


def test_resharding_in_mid_read_loses_nothing(streams: Streams, query: Make) -> None:
    name = streams.make(shards=1)
    reader = query(name).start()
    streams.put(name, texts(0, 100))
    reader.until(lambda: sum(reader.progress()["batches"]) >= 100)
    streams.split(name, "shardId-000000000000")
    streams.put(name, texts(100, 200))
    streams.merge(name, "shardId-000000000001", "shardId-000000000002")
    streams.put(name, texts(200, 300))
    reader.until(lambda: sum(reader.progress()["batches"]) >= 300)
    reader.stop()
    rows = reader.rows()
    assert data(rows) == texts(0, 300)
    assert len({row[3] for row in rows}) == 4
    streams.put(name, texts(300, 310))
    assert data(reader.drain()) == texts(0, 310)


def test_latest_begins_where_the_stream_was_at_the_start(streams: Streams, query: Make) -> None:
    """The shard is empty from there on: there is no sequence number that the position could be."""
    name = streams.make()
    streams.put(name, texts(0, 10))
    reader = query(name, initialPosition="latest").start()
    reader.until(lambda: reader.progress()["offset"] is not None)
    reader.stop()
    streams.put(name, texts(10, 20))
    assert data(reader.drain()) == texts(10, 20)


def test_killed_between_offsets_and_commit_every_row_comes_once(
    streams: Streams, query: Make, driver: Driver, tmp_path: Path
) -> None:
    """Spark has logged where the micro-batch ends, and of the first one not where it began: that is in its end."""
    name, hold = streams.make(shards=2), tmp_path / "hold"
    streams.put(name, texts(0, 100))
    hold.touch()
    reader = query(name, initialPosition="latest").start(hold=str(hold))
    reader.until(lambda: reader.log("offsets") != {})
    streams.put(name, texts(100, 200))
    reader.until(lambda: held(reader))
    streams.put(name, texts(200, 210))
    driver.restart()
    assert held(reader)
    assert data(reader.drain()) == texts(100, 210)


def test_a_micro_batch_takes_no_more_than_the_buffer(streams: Streams, query: Make) -> None:
    name = streams.make()
    streams.put(name, texts(0, 60))
    reader = query(name, maxRecordsPerFetch=10, fetchBufferSize="1k")
    assert data(reader.drain()) == texts(0, 60)
    assert max(reader.progress()["batches"]) <= 20


def test_a_stream_made_anew_is_a_loss_of_data(streams: Streams, query: Make) -> None:
    name = streams.make()
    streams.put(name, texts(0, 10))
    reader = query(name)
    reader.drain()
    streams.kinesis.delete_stream(StreamName=name)
    streams.kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    streams.kinesis.create_stream(StreamName=name, ShardCount=1)
    streams.settle(name)
    streams.put(name, texts(10, 20))
    with pytest.raises(SparkError, match=f"(?s){name} shardId-000000000000: .*failOnDataLoss=false") as failure:
        reader.drain()
    assert "Traceback" not in str(failure.value) and SECRET not in str(failure.value)
    reader.options["failOnDataLoss"] = "false"
    assert data(reader.drain()) == texts(0, 20)


def test_errors_name_the_option_and_quote_aws(streams: Streams, query: Make, driver: Driver) -> None:
    with pytest.raises(SparkError, match=r"no option streamnames\s+did you mean streamName") as failure:
        driver.call("schema", options={"streamNames": "x", "awsSecretKey": SECRET})
    assert "Traceback" not in str(failure.value) and SECRET not in str(failure.value)
    with pytest.raises(SparkError, match="ListShards on no-such-stream: ResourceNotFoundException: Stream") as failure:
        query("no-such-stream").drain()
    assert "Traceback" not in str(failure.value) and SECRET not in str(failure.value)


def test_a_query_on_another_ones_checkpoint_stops_and_names_both(streams: Streams, query: Make) -> None:
    one, other = streams.make(), streams.make()
    streams.put(one, texts(0, 10))
    streams.put(other, texts(10, 20))
    first, second = query(one), query(other)
    first.drain()
    second.home = first.home
    told = f"belongs to the stream {one}, but the query reads {other}: two queries share one checkpointLocation"
    with pytest.raises(SparkError, match=told):
        second.drain()
    assert data(first.rows()) == texts(0, 10), "nothing of the other stream"


@pytest.mark.long
def test_nine_queries_that_start_at_once_on_a_busy_machine_all_run(streams: Streams, query: Make) -> None:
    """Spark waits 10 s for each query's Python process to connect back."""
    name = streams.make()
    streams.put(name, texts(0, 10))
    readers = [query(name).load() for _ in range(9)]
    with busy(processes=24, seconds=60):
        for reader in readers:
            reader.start(availableNow=True)
        for reader in readers:
            assert data(reader.drained()) == texts(0, 10)


def test_a_batch_query_reads_what_there_is(streams: Streams, driver: Driver) -> None:
    name = streams.make(shards=2)
    streams.put(name, texts(0, 50))
    time.sleep(0.05)
    middle = datetime.now(UTC)
    time.sleep(0.05)
    streams.put(name, texts(50, 80))
    options = {"streamName": name, "region": "us-east-1", "awsAccessKey": "test", "awsSecretKey": SECRET}
    assert data(driver.call("read", options=options)) == texts(0, 80)
    position = json.dumps(
        {"at_timestamp": f"{middle:%Y-%m-%d %H:%M:%S.%f} GMT", "format": "yyyy-MM-dd HH:mm:ss.SSSSSS z"}
    )
    assert data(driver.call("read", options=options | {"initialPosition": position})) == texts(50, 80)


def test_no_secret_is_in_a_log_or_a_checkpoint_and_no_process_stays(
    streams: Streams, query: Make, driver: Driver
) -> None:
    name = streams.make()
    streams.put(name, texts(0, 10))
    reader = query(name).start()
    reader.until(lambda: sum(reader.progress()["batches"]) >= 10)

    def planners() -> int:
        children = psutil.Process(driver.process.pid).children(recursive=True)
        alive = [process for process in children if process.status() != psutil.STATUS_ZOMBIE]
        return len([process for process in alive if "python_streaming_source_runner" in " ".join(process.cmdline())])

    assert planners() == 1
    reader.stop()
    reader.until(lambda: not planners(), patience=10)
    written = [path for path in reader.home.rglob("*") if path.is_file()]
    assert not [path for path in (*written, driver.home / "spark.log") if SECRET.encode() in path.read_bytes()]


@pytest.mark.long
def test_after_a_kill_of_localstack_the_query_goes_on(streams: Streams, query: Make) -> None:
    """Kinesis writes its data every 15 s: it has lost its last records, or the stream."""
    name = streams.make()
    streams.put(name, texts(0, 50))
    reader = query(name, failOnDataLoss="false").start()
    reader.until(lambda: sum(reader.progress()["batches"]) >= 50)
    streams.kill()
    streams.localstack.start()
    if name not in streams.kinesis.list_streams(Limit=1000)["StreamNames"]:
        streams.kinesis.create_stream(StreamName=name, ShardCount=1)
        streams.settle(name)
    streams.put(name, texts(50, 100))
    reader.until(lambda: sum(reader.progress()["batches"]) >= 100)
    streams.put(name, texts(100, 110))
    reader.until(lambda: sum(reader.progress()["batches"]) >= 110)
    reader.stop()
    assert data(reader.rows()) == texts(0, 110)
