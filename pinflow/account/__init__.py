"""The account of every record: where each one is, hop by hop, and where the numbers do not match.

    posted     = in Kafka
    in Kafka   = in S3 + dead letters + nulls + not yet in S3 + lost
    in S3      = rows of the table + duplicates of an `ind` + quarantined + not yet in the table
    in Kinesis = rows of the stream's table + quarantined + not yet read

It is computed from what each hop holds: offsets, the contents of the objects, dead letters, rows. The sink's committed
offset only separates late records from lost ones: nothing before it can still be on its way.
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
"""Records to read at most, when some are missing, to find nulls."""
_CLOCK = 5.0
"""Seconds by which an object may be newer than its time says: S3 gives whole seconds, of the upload's start."""


@dataclass(frozen=True)
class TopicAccount:
    """A topic and what became of its records; None for a number that cannot be seen from here.

    posted        records that the emulator sent and the API acknowledged
    in_kafka      records that Kafka holds
    in_s3         Kafka's records in an object
    dead_letters  Kafka's records that are not JSON: in the dead-letter topic
    nulls         Kafka's records without a value, which the sink skips
    late          Kafka's records that are not yet in S3
    lost          Kafka's records that are nowhere, although the sink is past them
    lines         in the objects, including records that Kafka no longer holds or that are there twice
    rows          of the cleaned table; None if there is none
    duplicates    lines beyond the first with an `ind`
    quarantined   lines in the quarantine
    waiting       lines that are not in the table, because they came after it was made
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
    """The account of all topics.

    ``broken``: sentences about what does not match. ``pending``: what is still to come. ``notes``: other remarks.
    ``unknown``: the hops that did not answer, with the reason.
    """

    topics: list[TopicAccount]
    broken: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether every record of the hops that answered is accounted for."""
        return not self.broken

    @property
    def is_complete(self) -> bool:
        """Whether every hop was checked; on AWS objects and tables are not read."""
        return not self.unknown and all(topic.lines is not None and topic.in_s3 is not None for topic in self.topics)


def take(profile: Profile, landed: Mapping[str, int] | None = None) -> Account:
    """Ask every hop in parallel; a hop that does not answer is listed as unknown.

    ``landed``: after a batch, the lines that each topic had in S3 before it; the batch must have read them all.
    Objects in a bucket on AWS are listed but not read, which would take long and cost money.
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
    """Computes one account."""

    def __init__(self, profile: Profile, landed: Mapping[str, int]) -> None:
        self._profile, self._landed = profile, landed
        self._here = profile.stack is not None
        self._unknown: dict[str, str] = {}
        self._broken: list[str] = []
        self._pending: list[str] = []
        self._notes: list[str] = []

    def account(self) -> Account:
        # First what was posted, then Kafka, then S3: a record that moves meanwhile is counted twice, never missed.
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
        # On AWS much is out of reach: MSK's brokers answer only inside their VPC. And no equation needs the source.
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
                f"{topic}: {lost:,} records in Kafka are neither in S3 nor dead letters, though the sink is past them: "
                f"{_places(fates, partitions)}"
            )
        if late:
            self._pending.append(f"{topic}: {late:,} records in Kafka are not yet in S3")
        if twice := sum(one.twice for one in fates.values()):
            self._notes.append(f"{topic}: {twice:,} records are in two objects each; the tables have them once")
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
            self._pending.append(f"{name}: a load is running or was interrupted: make batch")
        if rows > len(table.posts):
            self._broken.append(f"{name}: {rows - len(table.posts):,} rows share an `ind` with another row")
        if lines.overlooked and not table.loading:
            self._broken.append(
                f"{name}: {lines.overlooked:,} records in S3 are neither in the table nor in the quarantine, although "
                f"they were there when it was made; one is in {lines.example}"
            )
        bad = table.bad.total()
        if load is not None and not table.loading and (load.rows, load.quarantined) != (rows, bad):
            self._broken.append(
                f"{name}: its load made {load.rows:,} rows and {load.quarantined:,} quarantined records, but there are "
                f"{rows:,} and {bad:,}: make batch"
            )
        if load is not None and load.records < (had := self._landed.get(topic, 0)):
            self._broken.append(f"{name}: the load read {load.records:,} records, but S3 had {had:,} before it")
        newer = max(lines.waiting, lines.total - load.records if load else 0)
        if newer > lines.overlooked:
            self._pending.append(f"{name}: {newer:,} records in S3 came after the table was made: make batch")
        if load is not None and lines.total < load.records:
            fewer = load.records - lines.total
            self._pending.append(f"{name}: {fewer:,} of the records that it was made of are no longer in S3")
        return {
            "lines": lines.total,
            "rows": rows,
            "duplicates": lines.duplicates,
            "quarantined": lines.quarantined,
            "waiting": lines.waiting,
        }


class _Lines:
    """The lines of a topic's objects, sorted by whether they are in the table, its quarantine, or neither."""

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
        """Read every object, one at a time. Raises NotReady."""
        for one, body in bucket.bodies(objects):
            lines = split(body)
            self.counts[one] = len(lines)
            if self.table.posts is not None:
                self._take(one, lines, self.table.posts)
        return True

    def _take(self, one: Listed, lines: list[bytes], posts: Counter[int]) -> None:
        load = self.table.load
        # If the table's load is unknown, every line may be newer.
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
    """Where the records of a partition are, according to the sink's objects."""
    objects = [(one.place[1], count) for one, count in lines.items() if one.place and one.place[0] == number]
    return fate(partition.begin, partition.end, objects, partition.skipped)


def read_skipped(topics: Topics, topic: str, lines: dict[Listed, int]) -> None:
    """Look for nulls in Kafka where records are missing; only at the beginning of a long backlog."""
    for number, partition in topics.partitions[topic].items():
        starts = [one.place[1] for one in lines if one.place and one.place[0] == number]
        spans = suspects(placed(partition, number, lines).missing, starts)
        topics.read(topic, number, [(start, min(stop, start + _MOST_READ)) for start, stop in spans])


def _within(offsets: set[int], partition: Partition) -> int:
    return sum(partition.begin <= offset < partition.end for offset in offsets)


def _places(fates: dict[int, Fate], partitions: dict[int, Partition]) -> str:
    """The first few lost offsets, as text."""
    spans = []
    for number, one in fates.items():
        committed = partitions[number].committed
        for start, stop in one.missing:
            if start < committed:
                last = min(stop, committed) - 1
                spans.append(f"partition {number}, offset {start}" + (f" to {last}" if last > start else ""))
    return "; ".join(spans[:3]) + ("; …" if len(spans) > 3 else "")
