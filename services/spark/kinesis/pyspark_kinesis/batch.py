"""``read``: what a stream has, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition

from pyspark_kinesis import replay
from pyspark_kinesis.client import Kinesis, Shard, persistently
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
    """Reads from ``initialPosition`` (``earliest`` if not given) to what has come when the query is planned."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._initial = options.initial or Initial("trim_horizon")
        if self._initial.kind == "latest":
            raise KinesisError(
                "a batch query cannot begin at initialPosition latest: there is nothing behind it",
                "take earliest or at_timestamp, or spark.readStream",
            )

    def partitions(self) -> list[InputPartition]:
        """One for every shardsPerTask shards, or maxPartitions."""
        with shown_plainly():
            kinesis, options = Kinesis(self._options), self._options
            shards = [
                (stream, shard) for stream in options.streams for shard in persistently(partial(kinesis.shards, stream))
            ]
            tasks, until = options.tasks(len(shards)), now()
            return [Shards(shards[task::tasks], until) for task in range(tasks)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        with shown_plainly():
            assert isinstance(partition, Shards)
            kinesis = Kinesis(self._options)
            for stream, shard in partition.shards:
                position = self._initial.position(partition.until)
                bound = Until(arrived=partition.until)
                yield from replay.until(kinesis, self._options, stream, shard, position, bound)
