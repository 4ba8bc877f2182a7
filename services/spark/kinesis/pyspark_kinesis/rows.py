"""Records as Arrow: Spark takes record batches as they are, and rows only one value at a time."""

from __future__ import annotations

import pyarrow as pa

from pyspark_kinesis.options import Stream
from pyspark_kinesis.shard import Record

ARROW = pa.schema(
    [
        ("partitionKey", pa.string()),
        ("data", pa.binary()),
        ("stream", pa.string()),
        ("shardId", pa.string()),
        ("sequenceNumber", pa.string()),
        ("approximateArrivalTimestamp", pa.timestamp("us", tz="UTC")),
    ]
)
"""The source's columns, exactly as Spark wants them."""


def batch(stream: Stream, shard: str, records: list[Record]) -> pa.RecordBatch:
    """The rows of some records of one shard."""
    columns = [
        [record["PartitionKey"] for record in records],
        [record["Data"] for record in records],
        [stream.name] * len(records),
        [shard] * len(records),
        [record["SequenceNumber"] for record in records],
        [record["ApproximateArrivalTimestamp"] for record in records],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ARROW, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=ARROW)
