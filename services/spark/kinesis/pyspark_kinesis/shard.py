"""Reading one shard, from a position on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import dropwhile
from typing import Any

from pyspark_kinesis.client import Kinesis, Shard
from pyspark_kinesis.errors import DataLossError, ShardGoneError, TransientError, say
from pyspark_kinesis.offsets import Position
from pyspark_kinesis.options import Options, Stream

Record = dict[str, Any]
"""One record of GetRecords' answer."""


@dataclass(frozen=True)
class Page:
    """The records of one GetRecords, and how many milliseconds they are behind the shard's tip.

    ``closed``: the shard ends here; ``tip``: it had nothing more at the time.
    """

    records: list[Record]
    closed: bool
    tip: bool
    behind: int


@dataclass(frozen=True)
class Until:
    """Where reading stops: after a sequence number, or after a time (milliseconds since 1970)."""

    sequence_number: str | None = None
    arrived: int | None = None

    def cut(self, records: list[Record]) -> tuple[list[Record], bool]:
        """The records up to there, and whether it was reached."""
        for index, record in enumerate(records):
            if self.arrived is not None and arrived(record) > self.arrived:
                return records[:index], True
            if self.sequence_number is not None and int(record["SequenceNumber"]) >= int(self.sequence_number):
                return records[: index + (record["SequenceNumber"] == self.sequence_number)], True
        return records, False


class Cursor:
    """A place in a shard that moves on with each ``fetch``. Used by one thread at a time.

    When the stream is created again, ``shard`` is set to the new shard of that id.
    """

    def __init__(self, kinesis: Kinesis, options: Options, stream: Stream, shard: Shard, position: Position) -> None:
        self.stream, self.shard, self.position = stream, shard, position
        self._kinesis, self._options = kinesis, options
        self._iterator: tuple[Shard, str] | None = None

    def fetch(self) -> Page:
        """One GetRecords; ``position`` is then after its records.

        Raises TransientError (fetch again in a moment), KinesisError, and where the position no longer exists
        DataLossError under failOnDataLoss; without, it goes on with later records, or raises ShardGoneError.
        """
        shard = self.shard
        answer = self._get(shard) or self._get(shard)
        if answer is None:
            raise TransientError(f"GetRecords on {self.stream.key} {self.shard.id}: a new iterator is refused too")
        records, begin = answer["Records"], self.position.timestamp
        if begin is not None:  # boto3 sends whole seconds only
            records = list(dropwhile(lambda record: arrived(record) < begin, records))
        if records:
            self.position = after(records[-1])
        if iterator := answer.get("NextShardIterator"):
            self._iterator = shard, iterator
        else:
            self.position = self.position.closed(shard.first)
        behind: int = answer["MillisBehindLatest"]
        return Page(records, not iterator, not answer["Records"] and not behind, behind)

    def has(self, sequence_number: str) -> bool:
        """Whether the shard has that record."""
        where = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": sequence_number}
        known = int(sequence_number) >= int(self.shard.first)
        return known and self._kinesis.iterator(self.stream, self.shard.id, **where) is not None

    def _get(self, shard: Shard) -> dict[str, Any] | None:
        held, self._iterator = self._iterator, None
        iterator = held[1] if held and held[0] == shard else self._open(shard)
        return self._kinesis.records(self.stream, iterator, self._options.max_records_per_fetch)

    def _open(self, shard: Shard) -> str:
        """An iterator at the position, or at the records that are left after it."""
        at = self.position
        if at.sequence_number is not None and at.arrived is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": at.sequence_number}
            known = int(at.sequence_number) >= int(shard.first)
            iterator = self._kinesis.iterator(self.stream, shard.id, **where) if known else None
            if iterator is not None:
                return iterator
            # What the stream still has was read up to that time. Not by number: kinesis-local continues its count, so
            # that after a loss new records can have lower numbers than the lost ones.
            at = Position("AT_TIMESTAMP", timestamp=at.arrived + 1)
        iterator = self._kinesis.iterator(self.stream, shard.id, **_where(at))
        if iterator is None:
            self._kinesis.shards(self.stream)  # a missing stream is an error of its own
        if at != self.position or iterator is None:
            report_loss(self._options, self.stream, shard.id, self.position)
        if iterator is None:
            raise ShardGoneError
        self.position = at
        return iterator


def report_loss(options: Options, stream: Stream, shard: str, position: Position) -> None:
    """Log that the stream has lost a position; raises DataLossError under failOnDataLoss."""
    where = f"{stream.key} {shard}: the position {position.sequence_number or position.kind}"
    if position.arrived is not None:
        where += f", read at records of {datetime.fromtimestamp(position.arrived / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC,"
    reasons = "it was created again, lost its last records or exceeded its retention period"
    what = f"{where} is no longer in the stream: {reasons}"
    if options.fail_on_data_loss:
        raise DataLossError(
            f"{what}. Records may have been lost unread.",
            "to go on with what it has: option failOnDataLoss=false; to start afresh: delete the query's checkpoint",
        )
    say(f"WARNING {what}; going on with later records (failOnDataLoss=false)")


def arrived(record: Record) -> int:
    """When a record arrived: milliseconds since 1970."""
    when: datetime = record["ApproximateArrivalTimestamp"]
    return round(when.timestamp() * 1000)


def after(record: Record) -> Position:
    """The position behind a record."""
    return Position.after(record["SequenceNumber"], arrived(record))


def _where(at: Position) -> dict[str, Any]:
    if at.kind == "TRIM_HORIZON":
        return {"ShardIteratorType": "TRIM_HORIZON"}
    assert at.timestamp is not None
    return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": datetime.fromtimestamp(at.timestamp / 1000, UTC)}
