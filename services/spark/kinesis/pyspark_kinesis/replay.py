"""Reading again what a micro-batch had: after a restart of the query, and when Spark has lost the rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from pyspark_kinesis.client import Kinesis, Shard, retry
from pyspark_kinesis.offsets import Offset, Position
from pyspark_kinesis.options import Options, Stream
from pyspark_kinesis.rows import batch
from pyspark_kinesis.shard import Cursor, Until, report_loss


def between(kinesis: Kinesis, options: Options, start: Offset, end: Offset) -> Iterator[pa.RecordBatch]:
    """The rows after ``start`` and up to ``end``, parents before children.

    Raises KinesisError, and DataLossError if ``end`` no longer exists and failOnDataLoss is set.
    """
    for key, positions in end.streams.items():
        stream = Stream(key)
        ranges = {id_: (start.start(end, key, id_), last) for id_, last in positions.items()}
        if all(first == last for first, last in ranges.values()):
            continue
        shards = {shard.id: shard for shard in retry(partial(kinesis.shards, stream))}
        for id_, (first, last) in sorted(ranges.items()):
            if id_ in shards:
                yield from _shard(kinesis, options, stream, shards[id_], first, last)
            elif first != last:
                report_loss(options, stream, id_, last)


def until(
    kinesis: Kinesis, options: Options, stream: Stream, shard: Shard, first: Position, bound: Until
) -> Iterator[pa.RecordBatch]:
    """The rows of a shard from ``first`` to ``bound``, to its end or to its tip."""
    cursor = Cursor(kinesis, options, stream, shard, first)
    while True:
        page = retry(cursor.fetch)
        records, reached = bound.cut(page.records)
        if records:
            yield batch(stream, shard.id, records)
        if reached or page.closed or page.tip:
            return


def _shard(
    kinesis: Kinesis, options: Options, stream: Stream, shard: Shard, first: Position, last: Position
) -> Iterator[pa.RecordBatch]:
    """The rows after ``first`` and up to ``last``, which is the position after a record, or there are none."""
    number, arrived = last.sequence_number, last.arrived
    if number is None or arrived is None or number == first.sequence_number:
        return
    if not retry(lambda: Cursor(kinesis, options, stream, shard, last).has(number)):
        report_loss(options, stream, shard.id, last)
        # The next micro-batch begins after the same moment: see Cursor.
        yield from until(kinesis, options, stream, shard, first, Until(arrived=arrived))
        return
    seen = None
    for rows in until(kinesis, options, stream, shard, first, Until(number)):
        yield rows
        seen = rows["sequenceNumber"][-1].as_py()
    if seen != number:
        report_loss(options, stream, shard.id, last)
