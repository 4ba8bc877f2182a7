"""The account of every record: where each one is, hop by hop, and what does not add up.

    posted     = in Kafka
    in Kafka   = in S3 + dead letters + nulls + not yet in S3 + lost
    in S3      = rows of the table + duplicates of an `ind` + quarantined + not yet in the table
    in Kinesis = rows of the stream's table + quarantined + not yet read

It is reckoned from what lies at each hop: offsets, the contents of the objects, dead letters, rows. The sink's
committed offset only tells what is late from what is lost: before it nothing can still be under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from emulator import books as posted
from foundation.errors import NotReady, PinflowError, brief
from foundation.profile import Profile
from foundation.registry import TABLES
from pinflow.account import tables
from pinflow.account.objects import Bucket, Listed, key_of, split
from pinflow.account.offsets import Fate, below, fate, suspects
from pinflow.account.tables import Table
from pinflow.account.topics import Partition, Topics

T = TypeVar("T")

_SERVICES = {"MySQL": "mysql", "Kafka": "kafka", "S3": "localstack", "tables": "spark"}
_MOST_READ = 100_000
"""Records that are read to find nulls where some are missing."""
_CLOCK = 5.0
"""Seconds by which an object may be younger than its time says: S3 tells whole seconds, and those of its beginning."""


@dataclass(frozen=True)
class TopicAccount:
    """A topic and what became of its records. What cannot be seen from here is None.

    posted        records that the emulator has had acknowledged
    in_kafka      records that Kafka holds
    in_s3         of these, in an object
    dead_letters  of these, not JSON: in the dead-letter topic
    nulls         of these, without a value, which the sink leaves out
    late          of these, not yet in S3
    lost          of these, nowhere, though the sink is past them
    lines         in the objects, also of records that Kafka no longer holds and of those that are there twice
    rows          of the cleaned table; None where there is none
    duplicates    lines beyond the first with an `ind`
    quarantined   lines that are in the quarantine
    waiting       lines that are not in the table yet, for they came after it was made
    """

    name: str
    table: str
    source_rows: int | None = None
    posted: int | None = None
    in_kafka: int | None = None
    objects: int = 0
    in_s3: int | None = None
    dead_letters: int | None = None
    nulls: int | None = None
    late: int | None = None
    lost: int | None = None
    lines: int | None = None
    rows: int | None = None
    duplicates: int | None = None
    quarantined: int | None = None
    waiting: int | None = None


@dataclass(frozen=True)
class Account:
    """Of all topics; in words what does not add up (``broken``), what is still to come, and what else to know.

    ``unknown`` names the hops that did not answer, with the reason.
    """

    topics: list[TopicAccount]
    broken: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether every record of every hop that answered is accounted for."""
        return not self.broken

    @property
    def is_complete(self) -> bool:
        """Whether every hop was looked at; on AWS neither objects nor tables are read."""
        return not self.unknown and all(topic.lines is not None and topic.in_s3 is not None for topic in self.topics)


def take(profile: Profile, landed: Mapping[str, int] | None = None) -> Account:
    """Ask every hop, side by side; a hop that does not answer is named, not guessed.

    ``landed``: after a batch, the lines that each topic had in S3 before it, all of which it must have read.

    Of a bucket on AWS the objects are listed and not read: to read them all takes long and costs money.
    """
    return _Reckoning(profile, landed or {}).account()


def source_rows(profile: Profile) -> dict[str, int]:
    """Rows of the source tables, by the table's name."""
    try:
        bounds = {"connect_timeout": 5} if profile.database.url.startswith(("mysql", "mariadb")) else {}
        engine = create_engine(profile.database.engine_url, connect_args=bounds)
        with engine.connect() as connection:
            return {
                name: connection.execute(text(f"select count(*) from {table.source}")).scalar_one()
                for name, table in TABLES.items()
            }
    except SQLAlchemyError as error:
        raise NotReady(f"{profile.database.url}: {brief(error)}") from None


def listed(profile: Profile) -> dict[str, list[Listed]]:
    """The objects of each topic."""
    bucket = Bucket(profile)
    return {topic: bucket.listed(topic) for topic in profile.topics}


class _Reckoning:
    """One account; what it finds wrong gathers in ``broken`` and ``pending``."""

    def __init__(self, profile: Profile, landed: Mapping[str, int]) -> None:
        self._profile, self._landed = profile, landed
        self._here = profile.stack is not None
        self._unknown: dict[str, str] = {}
        self._broken: list[str] = []
        self._pending: list[str] = []
        self._notes: list[str] = []

    def account(self) -> Account:
        # What was posted first, then Kafka, then S3: a record that moves on meanwhile is seen again, not missed.
        acknowledged = posted.totals(self._profile.home) if self._here else Counter[str]()
        try:
            with Topics.of(self._profile) as topics:
                topics.refresh()
                return self._over(topics, acknowledged)
        except NotReady as error:
            self._does_not_answer("Kafka", error)
            return self._over(None, acknowledged)

    def _over(self, topics: Topics | None, acknowledged: Counter[str]) -> Account:
        with ThreadPoolExecutor() as pool:
            source = pool.submit(self._ask, "MySQL", source_rows)
            made = pool.submit(self._ask, "tables", tables.cleaned)
            found = self._ask("S3", listed)
            bucket = Bucket(self._profile) if self._here and found is not None else None
            accounts = []
            for kind, topic in zip(TABLES, self._profile.topics, strict=True):
                objects = (found or {}).get(topic, [])
                about: dict[str, Any] = {"objects": len(objects), "source_rows": (source.result() or {}).get(kind)}
                if self._here:
                    about["posted"] = acknowledged[topic]
                if topics is not None:
                    about["in_kafka"] = sum(p.end - p.begin for p in topics.partitions[topic].values())
                of_tables = made.result()
                lines = _Lines(of_tables[kind] if of_tables else Table(), TABLES[kind].key)
                if bucket is not None and self._ask("S3", lambda _, b=bucket, o=objects, t=lines: t.read(b, o)):  # type: ignore[misc]
                    if topics is not None:
                        about |= self._of_kafka(topic, topics, lines, acknowledged[topic])
                    about |= self._of_table(kind, topic, lines) if of_tables else {"lines": lines.total}
                accounts.append(TopicAccount(topic, kind, **about))
        return Account(accounts, self._broken, self._pending, self._notes, self._unknown)

    def _ask(self, hop: str, question: Callable[[Profile], T]) -> T | None:
        try:
            return question(self._profile)
        except PinflowError as error:
            self._does_not_answer(hop, error)
            return None

    def _does_not_answer(self, hop: str, error: PinflowError) -> None:
        self._unknown[hop] = error.what
        # Elsewhere much cannot be seen from this machine: MSK's brokers answer inside their VPC only. And no equation
        # needs the source.
        if hop != "MySQL" and self._profile.stack and _SERVICES[hop] in self._profile.stack.services:
            self._broken.append(f"{hop}: {error.what}")

    def _of_kafka(self, topic: str, topics: Topics, lines: _Lines, acknowledged: int) -> dict[str, Any]:
        partitions = topics.partitions[topic]
        read_skipped(topics, topic, lines.counts)
        fates = {number: placed(partition, number, lines.counts) for number, partition in partitions.items()}
        lost = sum(below(fates[number].missing, partition.committed) for number, partition in partitions.items())
        late = sum(one.absent for one in fates.values()) - lost
        ever = sum(partition.end for partition in partitions.values())
        if acknowledged > ever:
            self._broken.append(f"{topic}: {acknowledged:,} records posted, {ever:,} in Kafka")
        if lost:
            self._broken.append(
                f"{topic}: {lost:,} records in Kafka are neither in S3 nor dead letters, and the sink is past them: "
                f"{_places(fates, partitions)}"
            )
        if late:
            self._pending.append(f"{topic}: {late:,} records in Kafka are not yet in S3")
        if twice := sum(one.twice for one in fates.values()):
            self._notes.append(f"{topic}: {twice:,} records are in two objects; the tables have them once")
        return {
            "in_s3": sum(one.in_s3 for one in fates.values()),
            "dead_letters": sum(_within(p.dead, p) for p in partitions.values()),
            "nulls": sum(_within(p.nulls - p.dead, p) for p in partitions.values()),
            "late": late,
            "lost": lost,
        }

    def _of_table(self, kind: str, topic: str, lines: _Lines) -> dict[str, Any]:
        table, name = lines.table, f"{self._profile.uid}_{kind}"
        if table.posts is None:
            if lines.total:
                self._pending.append(f"{topic}: {lines.total:,} records in S3, no table yet: make batch")
            return {"lines": lines.total}
        rows, load = table.posts.total(), table.load
        if table.loading:
            self._pending.append(f"{name}: a load is under way, or was interrupted: make batch")
        if rows > len(table.posts):
            self._broken.append(f"{name}: {rows - len(table.posts):,} rows have an `ind` that another row has")
        if lines.overlooked and not table.loading:
            self._broken.append(
                f"{name}: {lines.overlooked:,} records in S3 are neither in the table nor in the quarantine, and were "
                f"there when it was made; one is in {lines.example}"
            )
        bad = table.bad.total()
        if load is not None and not table.loading and (load.rows, load.quarantined) != (rows, bad):
            self._broken.append(
                f"{name}: its load made {load.rows:,} rows and {load.quarantined:,} quarantined records, and there are "
                f"{rows:,} and {bad:,}: make batch"
            )
        if load is not None and load.records < (had := self._landed.get(topic, 0)):
            self._broken.append(f"{name}: the load read {load.records:,} records, and S3 had {had:,} before it")
        newer = max(lines.waiting, lines.total - load.records if load else 0)
        if newer > lines.overlooked:
            self._pending.append(f"{name}: {newer:,} records in S3 came after the table was made: make batch")
        if load is not None and lines.total < load.records:
            fewer = load.records - lines.total
            self._pending.append(f"{name}: {fewer:,} of the records that it was made of are not in S3 now")
        return {
            "lines": lines.total,
            "rows": rows,
            "duplicates": lines.duplicates,
            "quarantined": lines.quarantined,
            "waiting": lines.waiting,
        }


class _Lines:
    """The lines of a topic's objects, told apart by what is in the table and in its quarantine."""

    def __init__(self, table: Table, key: str) -> None:
        self.table, self._key = table, key
        self.counts: dict[Listed, int] = {}
        self.quarantined = self.duplicates = self.waiting = self.overlooked = 0
        self.example = ""
        self._posts: set[int] = set()

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def read(self, bucket: Bucket, objects: Sequence[Listed]) -> bool:
        """Take in every object, each let go before the next. Raises NotReady."""
        for one, body in bucket.bodies(objects):
            lines = split(body)
            self.counts[one] = len(lines)
            if self.table.posts is not None:
                self._take(one, lines, self.table.posts)
        return True

    def _take(self, one: Listed, lines: list[bytes], posts: Counter[int]) -> None:
        load = self.table.load
        # Of a table whose load is unknown every line may be newer.
        was_there = load is not None and one.modified + _CLOCK <= load.read_at
        for line in lines:
            if line in self.table.bad:
                self.quarantined += 1
                continue
            post = key_of(line, self._key)
            if post is None or post not in posts:
                self.waiting += 1
                self.overlooked += was_there
                self.example = one.key if was_there else self.example
            elif post in self._posts:
                self.duplicates += 1
            else:
                self._posts.add(post)


def placed(partition: Partition, number: int, lines: dict[Listed, int]) -> Fate:
    """Where the records of a partition are, by the objects that the sink wrote of it."""
    objects = [(one.place[1], count) for one, count in lines.items() if one.place and one.place[0] == number]
    return fate(partition.begin, partition.end, objects, partition.skipped)


def read_skipped(topics: Topics, topic: str, lines: dict[Listed, int]) -> None:
    """Look in Kafka for nulls where records are missing; of a long backlog at its beginning only."""
    for number, partition in topics.partitions[topic].items():
        starts = [one.place[1] for one in lines if one.place and one.place[0] == number]
        spans = suspects(placed(partition, number, lines).missing, starts)
        topics.read(topic, number, [(start, min(stop, start + _MOST_READ)) for start, stop in spans])


def _within(offsets: set[int], partition: Partition) -> int:
    return sum(partition.begin <= offset < partition.end for offset in offsets)


def _places(fates: dict[int, Fate], partitions: dict[int, Partition]) -> str:
    """The first few spans of offsets that are lost, for a person."""
    spans = []
    for number, one in fates.items():
        committed = partitions[number].committed
        for start, stop in one.missing:
            if start < committed:
                last = min(stop, committed) - 1
                spans.append(f"partition {number}, offset {start}" + (f" to {last}" if last > start else ""))
    return "; ".join(spans[:3]) + ("; …" if len(spans) > 3 else "")
