"""``read``: what a stream has, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition

from pyspark_kinesis import replay
from pyspark_kinesis.client import Kinesis, Shard, retry
from pyspark_kinesis.errors import KinesisError, shown_plainly
from pyspark_kinesis.initial import Initial
from pyspark_kinesis.options import Options, Stream
from pyspark_kinesis.shard import Until
from pyspark_kinesis.stream import now


@dataclass
class Shards(InputPartition):
    """What one task reads: some shards, up to ``until`` (milliseconds since 1970)."""

    shards: list[tuple[Stream, Shard]]
    until: int


class BatchReader(DataSourceReader):
    """Reads from ``initialPosition`` (by default ``earliest``) to what has arrived when the query is planned."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._initial = options.initial or Initial("trim_horizon")
        if self._initial.kind == "latest":
            todo = "use earliest or at_timestamp, or spark.readStream"
            raise KinesisError("a batch query cannot begin at initialPosition latest: nothing comes after it", todo)

    def partitions(self) -> list[InputPartition]:
        """One for every shardsPerTask shards, or maxPartitions."""
        with shown_plainly():
            kinesis, streams = Kinesis(self._options), self._options.streams
            shards = [(stream, shard) for stream in streams for shard in retry(partial(kinesis.shards, stream))]
            tasks, until = self._options.tasks(len(shards)), now()
            return [Shards(shards[task::tasks], until) for task in range(tasks)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        with shown_plainly():
            assert isinstance(partition, Shards)
            kinesis, bound = Kinesis(self._options), Until(arrived=partition.until)
            for stream, shard in partition.shards:
                position = self._initial.position(partition.until)
                yield from replay.until(kinesis, self._options, stream, shard, position, bound)
