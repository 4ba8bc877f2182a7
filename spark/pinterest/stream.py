"""The stream job: Kinesis records in; cleaned rows appended to Delta tables, each record exactly once.

    query = start(spark, "0a1b2c3d4e5f", "pin", {"region": "us-east-1", "awsAccessKey": …, "awsSecretKey": …})
    follow([query], progress_file)

    follow(start_all(spark, "0a1b2c3d4e5f", connection), progress_file)

Exactly once: Spark replays a batch that it has not seen committed, with the same records, and only as the first batch
after a start. Each commit to a table carries the query's id and the batch's number, which find a first batch again.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyspark import cloudpickle
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQuery

from pinterest.cleaning import QUARANTINE, Cleaned, clean
from pinterest.registry import TABLES
from pinterest.tables import create_table, retry_on_conflict

MAINTENANCE_EVERY = 500
"""Every so many batches a table's small files are merged and old ones deleted; each batch adds a file."""
_LOOKED_AT = 1000
"""How many commits to search for a first batch: if it was committed, it was the query's last."""
_KEPT = {
    "delta.logRetentionDuration": "interval 1 day",
    "delta.deletedFileRetentionDuration": "interval 1 day",
    # A checkpoint costs as much as several batches; by default every tenth commit writes one.
    "delta.checkpointInterval": "100",
    # Least and greatest values of `ind` alone: with those of every column, they are a tenth of a small batch's cost.
    "delta.dataSkippingNumIndexedCols": "1",
}


def start(spark: SparkSession, uid: str, name: str, connection: Mapping[str, str]) -> StreamingQuery:
    """Append the records of streaming-<uid>-<name> to `<uid>_<name>_table`, those that do not fit to the quarantine.

    ``connection`` holds options of the Kinesis source: region, awsAccessKey, awsSecretKey and so on. The query and its
    checkpoint are called `<uid>_<name>`: it continues where it stopped, and replaces one that still runs.
    """
    return _start(spark, uid, [name], connection)[0]


def start_all(spark: SparkSession, uid: str, connection: Mapping[str, str]) -> list[StreamingQuery]:
    """`start` for every table, in parallel: each query has Python processes of its own, which take seconds to start.

    Raises the error of the first that does not start, after the others have started.
    """
    return _start(spark, uid, list(TABLES), connection)


def _start(spark: SparkSession, uid: str, names: Sequence[str], connection: Mapping[str, str]) -> list[StreamingQuery]:
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    create_tables(spark, uid)
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: write(records(spark, uid, name, connection), uid, name), names))


def write(records: DataFrame, uid: str, name: str, checkpoints: str = "dbfs:/checkpoints") -> StreamingQuery:
    """Append a stream of records, as `clean` takes them, to the tables of `create_tables`."""
    # The package is not installed on the cluster, so it is pickled with the code that runs there.
    for module in [module for module in list(sys.modules) if module.partition(".")[0] == "pinterest"]:
        cloudpickle.register_pickle_by_value(sys.modules[module])
    checkpoint = f"{checkpoints}/{uid}_{name}_table"
    writer = records.writeStream.queryName(f"{uid}_{name}").option("checkpointLocation", checkpoint)
    return writer.foreachBatch(_Append(uid, name, checkpoint)).start()


def records(spark: SparkSession, uid: str, name: str, connection: Mapping[str, str]) -> DataFrame:
    """A stream's records, as `clean` takes them, from the first that Kinesis still has."""
    stream = (
        spark.readStream.format("kinesis")
        .option("streamName", f"streaming-{uid}-{name}")
        .option("initialPosition", "earliest")
        # As soon and as much as Kinesis allows for one reader of a shard.
        .option("minFetchPeriod", "200ms")
        .option("maxFetchRate", "2.0")
        # Waiting does not bring back what Kinesis lost: the source reports what is missing, and continues.
        .option("failOnDataLoss", "false")
        .options(**connection)
        .load()
    )
    return stream.select(
        F.col("data").alias("value"),
        F.col("stream").alias("source"),
        F.concat_ws(" ", "shardId", "sequenceNumber").alias("position"),
        F.col("approximateArrivalTimestamp").alias("time"),
    )


def create_tables(spark: SparkSession, uid: str) -> None:
    """Create the tables `<uid>_<name>_table` and `<uid>_stream_quarantine` unless they exist, and a view of each.

    The view `<uid>_<name>_distinct` has one row per ``ind``: the greatest of rows that differ, as in the batch.
    """
    for name, table in TABLES.items():
        rows = f"`{uid}_{name}_table`"
        create_table(spark, rows, table.ddl, properties=_KEPT)
        order = ", ".join(f"{column} desc nulls last" for column in table.cleaned if column != "ind")
        ranked = f"select *, row_number() over (partition by ind order by {order}) as place from {rows}"
        columns = ", ".join(table.cleaned)
        view = f"create or replace view `{uid}_{name}_distinct` as select {columns} from ({ranked}) where place = 1"
        retry_on_conflict(partial(spark.sql, view))
    create_table(spark, f"`{uid}_stream_quarantine`", QUARANTINE, partitioned_by=["table"], properties=_KEPT)


class _Append:
    """The cluster calls this for each batch, in a process that runs as long as the query."""

    def __init__(self, uid: str, name: str, checkpoint: str) -> None:
        self.uid, self.name, self.checkpoint = uid, name, checkpoint
        self.query_id = ""

    def __call__(self, batch: DataFrame, number: int) -> None:
        spark = batch.sparkSession
        first = not self.query_id
        if first:
            # Not the name: after the checkpoint is deleted, batches count from 0 again, with another id.
            metadata = spark.read.text(f"{self.checkpoint}/metadata").collect()
            self.query_id = json.loads("".join(row["value"] for row in metadata))["id"]
        # Persisted while it is written: Spark counts a record as read each time that it is evaluated.
        batch = batch.persist()
        try:
            self._write(batch, number, first)
        finally:
            batch.unpersist()
        if number % MAINTENANCE_EVERY == MAINTENANCE_EVERY - 1:
            self._maintain(spark)

    def _write(self, batch: DataFrame, number: int, first: bool) -> None:
        table, quarantine = f"`{self.uid}_{self.name}_table`", f"`{self.uid}_stream_quarantine`"
        cleaned = clean(TABLES[self.name], batch)
        if first and self._take_over(batch.sparkSession, table, number):
            bad = not cleaned.quarantined.isEmpty()
        else:
            seen = Observation()
            judged = cleaned.judged.observe(seen, F.count("reason").alias("quarantined"))
            rows = Cleaned(cleaned.table, judged).rows
            # Not Delta's own txnAppId: to look that up Delta computes the state of the whole table, for each batch.
            self._append(rows, table, userMetadata=f"{self.query_id} {number}")
            bad = seen.get["quarantined"] > 0
        if bad:
            # Rare, and every query writes there: the last commit of one may be far down in the history.
            self._append(cleaned.quarantined, quarantine, txnAppId=self.query_id, txnVersion=str(number))

    def _take_over(self, spark: SparkSession, table: str, number: int) -> bool:
        """Whether the table has that batch; from now on an earlier run cannot commit to it.

        A run that this one replaces may be in the middle of a write: Delta refuses its commit if the table's properties
        changed since it began. Few commits are newer than the batch's own: such changes, and those of others.
        """
        spark.sql(f"alter table {table} set tblproperties ('pinterest.writer' = '{uuid.uuid4()}')")
        commits = spark.sql(f"describe history {table} limit {_LOOKED_AT}")
        return not commits.where(F.col("userMetadata") == f"{self.query_id} {number}").isEmpty()

    def _append(self, rows: DataFrame, table: str, **options: str) -> None:
        rows.write.format("delta").mode("append").options(**options).saveAsTable(table)

    def _maintain(self, spark: SparkSession) -> None:
        spark.sql(f"optimize `{self.uid}_{self.name}_table`")
        spark.sql(f"vacuum `{self.uid}_{self.name}_table`")
        # Every query writes its own partition of the quarantine.
        spark.sql(f"optimize `{self.uid}_stream_quarantine` where table = '{self.name}'")


@dataclass
class Progress:
    """The progress of a query.

    query           its name
    batch           the number of its last batch; None before the first
    read            records read since this start of the query
    rows_per_second records of the last batch, divided by the time that it took
    offset          where it is in the stream, as the source writes it
    reported        when Spark reported that, UTC, ISO 8601
    time            when it was last asked, seconds since 1970
    """

    query: str
    batch: int | None = None
    read: int = 0
    rows_per_second: float = 0.0
    offset: Any = None
    reported: str = ""
    time: float = 0.0

    def add(self, reports: Sequence[Any]) -> None:
        """Add Spark's reports of the last batches; a report that was added before is skipped.

        An idle query reports the number of a batch that is yet to come, so only the time tells reports apart.
        """
        for report in reports:
            if report["timestamp"] > self.reported:
                source = report["sources"][0]
                self.reported, self.batch, self.offset = report["timestamp"], report["batchId"], source["endOffset"]
                self.read += source["numInputRows"]
                self.rows_per_second = source["processedRowsPerSecond"]


def follow(queries: Sequence[StreamingQuery], file: Path, every: float = 2.0) -> None:
    """Keep writing the queries' progress to a JSON file; raises the error of the first query that ends."""
    found = [Progress(str(query.name)) for query in queries]
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        for progress, query in zip(found, queries, strict=True):
            progress.add(query.recentProgress)
            progress.time = time.time()
        file.write_text(json.dumps([asdict(progress) for progress in found]), encoding="utf-8")
        for query in queries:
            if not query.isActive:
                # It raises what the query failed with; a query that was stopped just ends.
                query.awaitTermination()
                return
        time.sleep(every)


@dataclass(frozen=True)
class Comparison:
    """Posts of one table: those in both layers, those that differ, those in one layer only."""

    both: int
    differing: int
    only_batch: int
    only_stream: int


def compare(spark: SparkSession, uid: str) -> dict[str, Comparison]:
    """Compare the batch tables with the streams', one row per ``ind`` on either side."""
    return {name: _compare(spark, uid, name) for name in TABLES}


def _compare(spark: SparkSession, uid: str, name: str) -> Comparison:
    def side(table: str) -> DataFrame:
        return spark.table(f"`{uid}_{table}`").select("ind", F.struct(*TABLES[name].cleaned).alias(table))

    batch, stream = name, f"{name}_distinct"
    pairs = side(batch).join(side(stream), "ind", "full")
    in_batch, in_stream = F.col(batch).isNotNull(), F.col(stream).isNotNull()
    found = pairs.agg(
        F.count_if(in_batch & in_stream).alias("both"),
        F.count_if(in_batch & in_stream & (F.col(batch) != F.col(stream))).alias("differing"),
        F.count_if(in_batch & ~in_stream).alias("only_batch"),
        F.count_if(~in_batch & in_stream).alias("only_stream"),
    ).first()
    assert found is not None  # an aggregate without groups has one row
    return Comparison(**found.asDict())
