"""``readStream``: offsets, micro-batches and their rows.

Spark's *simple* stream reader: rows go from this process into Spark's block store, and no Python worker takes part in a
micro-batch; one that is not there (after a restart, or when the block is lost) is read again.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import SimpleDataSourceStreamReader
from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow

from pyspark_kinesis import replay
from pyspark_kinesis.client import Kinesis
from pyspark_kinesis.errors import KinesisError, shown_plainly
from pyspark_kinesis.initial import Initial
from pyspark_kinesis.lineage import Step
from pyspark_kinesis.offsets import NOTHING, Offset
from pyspark_kinesis.options import Options, Stream
from pyspark_kinesis.prefetch import Prefetch

WAIT = 0.1
"""Seconds that Spark's call for new records may wait for some: otherwise it calls a hundred times a second."""


class StreamReader(SimpleDataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads ahead from the first ``read`` on. Spark sends it to its workers, for replays, before that."""

    def __init__(self, options: Options) -> None:
        self._options = options
        # The end of the stream, for initialPosition latest, is where it was when the query started.
        self._initial = (options.initial or Initial("latest")).position(now())
        self._target: int | None = None
        self._prefetch: Prefetch | None = None
        self._uncommitted: deque[tuple[str, list[pa.RecordBatch]]] = deque()

    def initialOffset(self) -> dict[str, Any]:
        return NOTHING.json()

    def prepareForTriggerAvailableNow(self) -> None:
        """Read what there is now, and then no more."""
        self._target = now()

    def read(self, start: dict[str, Any]) -> tuple[Iterator[pa.RecordBatch], dict[str, Any]]:
        """The rows that have arrived since ``start``, and the offset after them; raises KinesisError."""
        with shown_plainly():
            offset = self._own(start)
            if self._prefetch is None:
                self._prefetch = Prefetch(
                    Kinesis(self._options), self._options, offset.streams, self._initial, self._target
                )
                self._prefetch.start()
            steps = self._prefetch.take(WAIT)
        if not steps:
            return iter([]), start
        end = advance(offset, steps, {stream.key for stream in self._options.streams}).json()
        rows = [step.rows for step in steps if step.rows is not None]
        self._uncommitted.append((json.dumps(end), rows))
        return iter(rows), end

    def readBetweenOffsets(self, start: dict[str, Any], end: dict[str, Any]) -> Iterator[pa.RecordBatch]:
        """The same rows again; raises KinesisError."""
        with shown_plainly():
            yield from replay.between(Kinesis(self._options), self._options, Offset.from_json(start), self._own(end))

    def _own(self, document: dict[str, Any]) -> Offset:
        """An offset from Spark; raises KinesisError if it is that of another query."""
        offset = Offset.from_json(document)
        check_streams(offset, self._options.streams)
        return offset

    def commit(self, end: dict[str, Any]) -> None:
        """Drop the rows of a micro-batch: Spark keeps its iterator until it has another."""
        text = json.dumps(end)
        if text in (known for known, _ in self._uncommitted):
            while self._uncommitted[0][0] != text:
                self._uncommitted.popleft()[1].clear()
            self._uncommitted.popleft()[1].clear()


def check_streams(offset: Offset, streams: tuple[Stream, ...]) -> None:
    """Raise KinesisError if ``offset`` has streams, but none of those that the query reads.

    Then two queries share a checkpoint, or a query reads another stream than before. Databricks' documentation allows
    neither (docs.databricks.com/structured-streaming/checkpoints): the table would get the rows of the other stream.
    """
    if offset.streams and not any(stream.key in offset.streams for stream in streams):
        written, asked = ", ".join(sorted(offset.streams)), ", ".join(stream.key for stream in streams)
        raise KinesisError(
            f"the checkpoint of this query belongs to the stream {written}, but the query reads {asked}: two queries "
            "share one checkpointLocation, or streamName was changed",
            'set a checkpointLocation of its own for each query, for example .option("checkpointLocation", '
            f'"/checkpoints/{streams[0].name}")',
        )


def advance(start: Offset, steps: list[Step], subscribed: set[str]) -> Offset:
    """The offset after ``steps``, without streams that the query no longer reads."""
    streams = {key: dict(shards) for key, shards in start.streams.items() if key in subscribed}
    began: dict[str, dict[str, Any]] = {}
    for step in steps:
        shards = streams.setdefault(step.stream, {})
        if step.position is None:
            shards.pop(step.shard, None)
            continue
        shards[step.shard] = step.position
        if step.begins:
            began.setdefault(step.stream, {})[step.shard] = step.position
    return Offset(streams, began)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
