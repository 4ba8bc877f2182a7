"""The records of each Kinesis stream, and how many of them its query has not read yet.

Locally a command reads all records once. On AWS it does not: all readers of a shard, including the query, share five
requests and two megabytes a second.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from foundation.aws import client
from foundation.errors import NotReady, brief
from foundation.profile import Profile

_PAGE = 2000
"""Records per request: kinesis-local is slower with more."""


@dataclass(frozen=True)
class Lag:
    """How far a query is behind: unread records (None on AWS), and the seconds that the oldest has waited."""

    records: int | None
    seconds: float


@dataclass
class _Shard:
    """The records of a shard: sequence numbers and arrival times (seconds), in order."""

    numbers: list[int] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    iterator: str | None = None
    began: bool = False

    def read(self, position: Any) -> int:
        """How many records a query at this position has read; raises ValueError for an unknown position."""
        match _where(position):
            case None | {"ShardIteratorType": "LATEST"}:
                return len(self.numbers)
            case {"ShardIteratorType": "TRIM_HORIZON"}:
                return 0
            case {"Timestamp": seconds}:
                return bisect_right(self.arrivals, seconds - 0.001)
            case {"StartingSequenceNumber": number}:
                place, arrived = bisect_right(self.numbers, int(number)), position.get("arrived")
                known = place and self.numbers[place - 1] == int(number)
                # After a loss kinesis-local may give new records lower numbers than the lost ones, at which the query
                # stands.
                return place if known or not arrived else bisect_right(self.arrivals, (arrived + 1) / 1000)
        raise ValueError(position)


class Stream:
    """One stream. Methods raise NotReady."""

    def __init__(self, profile: Profile, name: str) -> None:
        self.name = name
        self._kinesis = client(profile, "kinesis")
        self._shards: dict[str, _Shard] = {}

    @property
    def records(self) -> int:
        """Number of records at the last refresh."""
        return sum(len(shard.numbers) for shard in self._shards.values())

    def refresh(self) -> None:
        """Read new records."""
        with self._errors():
            pages = self._kinesis.get_paginator("list_shards").paginate(StreamName=self.name)
            for name in [shard["ShardId"] for page in pages for shard in page["Shards"]]:
                self._read(name, self._shards.setdefault(name, _Shard()))

    def read_by(self, offset: Any) -> int | None:
        """How many records a query at this offset has read; None if the offset does not mention the stream."""
        positions = _positions(self.name, offset)
        if positions is None:
            return None
        try:
            return sum(self._shards.get(name, _Shard()).read(position) for name, position in positions.items())
        except ValueError:
            return None

    def lag(self, offset: Any) -> Lag | None:
        """How far a query at this offset is behind the last refresh."""
        read = self.read_by(offset)
        if read is None:
            return None
        positions = _positions(self.name, offset) or {}
        first = [
            shard.arrivals[place]
            for name, shard in self._shards.items()
            if (place := shard.read(positions[name]) if name in positions else 0) < len(shard.arrivals)
        ]
        return Lag(self.records - read, max(0.0, time.time() - min(first)) if first else 0.0)

    def seconds_behind(self, offset: Any) -> Lag | None:
        """`lag` for a stream on AWS, with one request per shard for a single record."""
        positions = _positions(self.name, offset)
        if positions is None:
            return None
        behind = [0.0]
        try:
            for name, position in positions.items():
                if (where := _where(position)) is not None:
                    with self._errors():
                        iterator = self._kinesis.get_shard_iterator(StreamName=self.name, ShardId=name, **where)
                        answer = self._kinesis.get_records(ShardIterator=iterator["ShardIterator"], Limit=1)
                    behind.append(answer.get("MillisBehindLatest", 0) / 1000)
                    behind += [
                        time.time() - one["ApproximateArrivalTimestamp"].timestamp() for one in answer["Records"]
                    ]
        except ValueError:
            return None
        return Lag(None, max(behind))

    def _read(self, name: str, shard: _Shard) -> None:
        if not shard.began:
            first = self._kinesis.get_shard_iterator(
                StreamName=self.name, ShardId=name, ShardIteratorType="TRIM_HORIZON"
            )
            shard.iterator, shard.began = first["ShardIterator"], True
        while shard.iterator:
            try:
                answer = self._kinesis.get_records(ShardIterator=shard.iterator, Limit=_PAGE)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExpiredIteratorException" or not shard.numbers:
                    raise
                self._shards[name] = shard = _Shard()
                self._read(name, shard)
                return
            for record in answer["Records"]:
                shard.numbers.append(int(record["SequenceNumber"]))
                shard.arrivals.append(record["ApproximateArrivalTimestamp"].timestamp())
            shard.iterator = answer.get("NextShardIterator")
            if not answer.get("MillisBehindLatest"):
                return

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise NotReady(f"Kinesis: {self.name}: {brief(error)}") from None


def _positions(stream: str, offset: Any) -> dict[str, Any] | None:
    """The position in each shard of a stream, by shard id; None if the offset has another form.

    services/spark/kinesis writes {"streams": …}; Databricks writes a list of shards, as in its monitoring docs.
    """
    try:
        document = json.loads(offset) if isinstance(offset, str) else offset
        if isinstance(document, list):
            found = {one["shard"]["shardId"]: one for one in document if one["shard"]["stream"] == stream}
        else:
            found = dict(document["streams"][stream])
        return found or None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _where(position: Any) -> dict[str, Any] | None:
    """The arguments of GetShardIterator; None at the end of a closed shard. Raises ValueError for an unknown one."""
    match position:
        case {"type": "SHARD_END"} | {"closed": True}:
            return None
        case {"type": "AFTER_SEQUENCE_NUMBER", "sequenceNumber": str(number)} | {"lastSeqNum": str(number)}:
            return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
        case {"type": "AT_TIMESTAMP", "timestamp": int(milliseconds)}:
            return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": milliseconds / 1000}
        case {"type": "TRIM_HORIZON" | "LATEST" as kind}:
            return {"ShardIteratorType": kind}
    raise ValueError(position)
