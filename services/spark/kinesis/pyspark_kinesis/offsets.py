"""Positions in shards, and the offset of a query: the position in every shard of every stream.

An offset is JSON in the query's checkpoint::

    {"version": 1,
     "streams": {"my-stream": {"shardId-000000000000": {"type": "AFTER_SEQUENCE_NUMBER",
                                                         "sequenceNumber": "4968…", "arrived": 1795232189137}}},
     "began": {"my-stream": {"shardId-000000000000": {"type": "AT_TIMESTAMP", "timestamp": 1795232187000}}}}

A micro-batch is what lies after ``start`` and up to ``end``: the same records whenever it is read again. Spark keeps no
start of the first one, so ``began`` says where the shards began that ``end`` has and ``start`` has not; a shard in
neither began at its first record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pyspark_kinesis.errors import KinesisError

VERSION = 1

Kind = Literal["LATEST", "TRIM_HORIZON", "AT_TIMESTAMP", "AFTER_SEQUENCE_NUMBER", "SHARD_END"]


@dataclass(frozen=True)
class Position:
    """A place between two records of a shard.

    ``sequence_number`` is that of the record before it, ``arrived`` is when that arrived, and ``timestamp`` is where
    reading begins: milliseconds since 1970. At SHARD_END the shard is closed and read; a shard that closed without a
    record has its own first number there. LATEST is in no offset: it becomes one of the others as soon as the shards
    are known.
    """

    kind: Kind
    sequence_number: str | None = None
    arrived: int | None = None
    timestamp: int | None = None

    def json(self) -> dict[str, Any]:
        fields = {"sequenceNumber": self.sequence_number, "arrived": self.arrived, "timestamp": self.timestamp}
        return {"type": self.kind} | {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Position:
        return cls(document["type"], document.get("sequenceNumber"), document.get("arrived"), document.get("timestamp"))

    @classmethod
    def after(cls, sequence_number: str, arrived: int) -> Position:
        return cls("AFTER_SEQUENCE_NUMBER", sequence_number, arrived)

    def closed(self, first: str) -> Position:
        """The end of the shard, whose first sequence number is ``first``."""
        return replace(self, kind="SHARD_END", sequence_number=self.sequence_number or first, timestamp=None)


TRIM_HORIZON = Position("TRIM_HORIZON")

Shards = dict[str, Position]
"""Shard ids and positions."""


@dataclass(frozen=True)
class Offset:
    """Positions by stream and shard, and where this micro-batch's new shards began."""

    streams: dict[str, Shards]
    began: dict[str, Shards]

    def json(self) -> dict[str, Any]:
        """What Spark logs. Offsets are compared as text, so the order is fixed."""
        document: dict[str, Any] = {"version": VERSION}
        for name, streams in (("streams", self.streams), ("began", self.began)):
            if streams or name == "streams":
                document[name] = {
                    stream: {shard: position.json() for shard, position in sorted(shards.items())}
                    for stream, shards in sorted(streams.items())
                }
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Offset:
        """Raises KinesisError if it is not of this source and version."""
        if document.get("version") != VERSION:
            todo = "set another checkpointLocation for the query, or delete the old one and start afresh"
            raise KinesisError("the query's checkpoint was not written by this Kinesis source", todo)
        streams, began = (
            {
                stream: {shard: Position.from_json(position) for shard, position in shards.items()}
                for stream, shards in document.get(name, {}).items()
            }
            for name in ("streams", "began")
        )
        return cls(streams, began)

    def start(self, end: Offset, stream: str, shard: str) -> Position:
        """Where a micro-batch from this offset to ``end`` begins in a shard."""
        return self.streams.get(stream, {}).get(shard) or end.began.get(stream, {}).get(shard) or TRIM_HORIZON


NOTHING = Offset({}, {})
"""Before the first micro-batch: no stream has been listed."""
