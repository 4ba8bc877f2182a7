"""A Spark driver in a process of its own, which a test tells what to do and may kill: a JSON document a line each way.

Runs in the spark environment: ``python driver.py HOME``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery


class Driver:
    """Spark in local mode with the Kinesis source on its path; queries write Parquet, each row once."""

    def __init__(self, home: Path) -> None:
        self._spark = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.warehouse.dir", str(home / "warehouse"))
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC")
            .getOrCreate()
        )
        self._spark.sparkContext.setLogLevel("ERROR")
        self._queries: dict[str, StreamingQuery] = {}
        self._frames: dict[str, DataFrame] = {}

    def load(self, name: str, options: dict[str, Any]) -> str:
        """Make a query's frame ahead, so that `start` only starts."""
        self._frames[name] = self._spark.readStream.format("kinesis").options(**options).load()
        return name

    def start(self, name: str, options: dict[str, Any], home: str, hold: str = "", **trigger: Any) -> str:
        """Start a query; while the file ``hold`` is there its micro-batches do not end."""
        if name not in self._frames:
            self.load(name, options)
        frame = self._frames.pop(name)
        if hold:
            frame = frame.mapInArrow(held(hold), frame.schema)
        writer = frame.writeStream.format("parquet").option("checkpointLocation", f"{home}/checkpoint")
        self._queries[name] = writer.trigger(**trigger or {"processingTime": "0 seconds"}).start(f"{home}/rows")
        return name

    def ends(self, name: str) -> str:
        """Wait until a query has ended; its error, or nothing."""
        query = self._queries[name]
        try:
            query.awaitTermination()
        except Exception as error:
            return str(error)
        return ""

    def stop(self, name: str) -> str:
        self._queries.pop(name).stop()
        return name

    def stop_all(self) -> None:
        for name in list(self._queries):
            self.stop(name)

    def progress(self, name: str) -> dict[str, Any]:
        """Rows of each micro-batch so far, and where the query is."""
        known = self._queries[name].recentProgress
        last = json.loads(known[-1].json) if known else {}
        batches = {progress.batchId: progress.numInputRows for progress in known}
        return {"batches": list(batches.values()), "offset": last.get("sources", [{}])[0].get("endOffset")}

    def rows(self, home: str) -> list[list[Any]]:
        """What a query has written: key, text, stream, shard, number, milliseconds since 1970."""
        return rows(self._spark.read.parquet(f"{home}/rows")) if Path(home, "rows", "_spark_metadata").is_dir() else []

    def read(self, options: dict[str, Any]) -> list[list[Any]]:
        return rows(self._spark.read.format("kinesis").options(**options).load())

    def schema(self, options: dict[str, Any]) -> str:
        schema: str = self._spark.readStream.format("kinesis").options(**options).load().schema.simpleString()
        return schema


def rows(frame: DataFrame) -> list[list[Any]]:
    found = frame.selectExpr(
        "partitionKey",
        "string(data)",
        "stream",
        "shardId",
        "sequenceNumber",
        "unix_millis(approximateArrivalTimestamp)",
    )
    return [list(row) for row in found.collect()]


def held(path: str) -> Any:
    def hold(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            while os.path.exists(path):  # noqa: PTH110 - runs in Spark's worker
                time.sleep(0.05)
            yield batch

    return hold


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    driver = Driver(Path(sys.argv[1]))
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"answer": getattr(driver, name)(**arguments)}
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
