"""The shards of one stream: which are to be read now, and what happened to those that a checkpoint has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from pyspark_kinesis.client import Shard
from pyspark_kinesis.offsets import TRIM_HORIZON, Position, Shards
from pyspark_kinesis.options import Options, Stream
from pyspark_kinesis.shard import Cursor, report_loss


@dataclass(frozen=True)
class Step:
    """A shard's new position and the rows up to it. ``begins``: it had none. No position: the shard is gone."""

    stream: str
    shard: str
    position: Position | None
    rows: pa.RecordBatch | None = None
    begins: bool = False


class ShardsOfStream:
    """Positions, as far as has been fetched, and the cursors of the shards that are being read.

    Not safe to use from several threads. A stream without ``positions`` is new to the query: its shards begin at
    ``initial``. LATEST is the moment when the query started: no record that arrived since is lost.
    """

    def __init__(self, stream: Stream, positions: Shards | None, initial: Position, options: Options) -> None:
        self.stream, self.listed = stream, False
        self.cursors: dict[str, Cursor] = {}
        self._options, self._initial = options, initial
        self._new = positions is None
        self._positions: Shards = dict(positions or {})
        self._shards: dict[str, Shard] = {}
        # Shards that a target time has cut off, and their descendants.
        self._reached: set[str] = set()

    def update(self, shards: list[Shard]) -> Iterator[Step]:
        """Compare with what ListShards returns; raises DataLossError if positions are gone, under failOnDataLoss."""
        self._shards = {shard.id: shard for shard in shards}
        for shard in shards:
            if shard.id not in self._positions:
                yield from self._begin(shard)
            elif self._positions[shard.id].kind == "SHARD_END":
                yield from self._reopen(shard)
            elif shard.id in self.cursors:
                self.cursors[shard.id].shard = shard
        for id_ in self._positions.keys() - self._shards.keys() - self.cursors.keys():
            if self._positions[id_].kind != "SHARD_END":
                report_loss(self._options, self.stream, id_, self._positions[id_])
            yield self.forget(id_)
        self._new, self.listed = False, True

    def due(self, draining: bool) -> Iterator[tuple[Shard, Position]]:
        """The shards whose reading can begin: their parents have been read, or no longer exist."""
        for id_, shard in self._shards.items():
            if id_ in self.cursors or id_ in self._reached or self._positions[id_].kind == "SHARD_END":
                continue
            parents = [parent for parent in shard.parents if parent in self._shards]
            if all(self._positions[parent].kind == "SHARD_END" for parent in parents):
                yield shard, self._positions[id_]
            elif draining and self._reached.intersection(parents):
                self._reached.add(id_)

    def finish(self, shard: str, position: Position) -> None:
        """A shard has been read to its end, or up to the target."""
        self._positions[shard] = position
        if position.kind != "SHARD_END":
            self._reached.add(shard)
        del self.cursors[shard]

    def forget(self, shard: str) -> Step:
        """The stream no longer has the shard."""
        del self._positions[shard]
        self.cursors.pop(shard, None)
        return Step(self.stream.key, shard, None)

    def _begin(self, shard: Shard) -> Iterator[Step]:
        """A shard that has no position: of a stream new to the query, or one that resharding made."""
        position = TRIM_HORIZON
        if self._new:
            position = self._initial
            if position.kind == "LATEST":
                position = (
                    position.closed(shard.first)
                    if shard.closed
                    else Position("AT_TIMESTAMP", timestamp=position.timestamp)
                )
            yield Step(self.stream.key, shard.id, position, begins=True)
        self._positions[shard.id] = position

    def _reopen(self, shard: Shard) -> Iterator[Step]:
        """A shard that was read to its end is another one, or open again, if the stream was lost or restored."""
        ended = self._positions[shard.id]
        assert ended.sequence_number is not None
        if int(ended.sequence_number) < int(shard.first):
            position = TRIM_HORIZON
        elif not shard.closed and not any(shard.id in child.parents for child in self._shards.values()):
            position = TRIM_HORIZON
            if ended.arrived is not None:
                position = Position.after(ended.sequence_number, ended.arrived)
        else:
            return
        report_loss(self._options, self.stream, shard.id, ended)
        self._positions[shard.id] = position
        yield Step(self.stream.key, shard.id, position)
