"""What lies in Kafka: the partitions of the profile's topics, and the records that the sink skipped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from foundation import kafka as broker
from foundation.errors import NotReady
from foundation.profile import Profile
from pinflow.account.offsets import Span

_READ_WITHIN = 30.0
"""Seconds to wait for a record that is known to exist."""
_ASK_WITHIN = 10_000
"""Milliseconds for one request to Kafka; by default kafka-python waits for ever."""
_CONTEXT = "__connect.errors."
"""Prefix of the headers with which Connect describes a dead letter's origin (KIP-298)."""


def dead_letter_topic(profile: Profile) -> str:
    """Where the sink puts records that are not JSON."""
    return f"dlq-{profile.uid}"


@dataclass
class Partition:
    """A partition: Kafka's offsets, the sink's committed offset, and the offsets that the sink skipped."""

    begin: int = 0
    end: int = 0
    committed: int = 0
    dead: set[int] = field(default_factory=set)
    nulls: set[int] = field(default_factory=set)

    @property
    def skipped(self) -> list[int]:
        """Dead letters and nulls, in order."""
        return sorted(self.dead | self.nulls)


class Topics:
    """The profile's topics, read through one consumer. Methods raise NotReady."""

    def __init__(self, profile: Profile, admin: KafkaAdminClient, consumer: KafkaConsumer) -> None:
        self._profile, self._admin, self._consumer = profile, admin, consumer
        self._letters_read: dict[TopicPartition, int] = {}
        self._unaddressed: set[bytes] = set()
        self.partitions: dict[str, dict[int, Partition]] = {topic: {} for topic in profile.topics}

    @classmethod
    @contextmanager
    def of(cls, profile: Profile) -> Iterator[Topics]:
        """Raises NotReady if Kafka does not answer, also within the block."""
        group = f"connect-{profile.connect.connector}"
        with (
            broker.admin(profile, request_timeout_ms=_ASK_WITHIN) as admin,
            broker.consumer(profile, group_id=group, enable_auto_commit=False) as consumer,
        ):
            yield cls(profile, admin, consumer)

    def refresh(self) -> None:
        """Update the offsets and commits of all partitions, and read new dead letters."""
        existing = self._existing()
        for topic in self._profile.topics:
            if topic not in existing:
                self.partitions[topic].clear()
                continue
            found = existing[topic]
            # Commits first, so that they are below the ends, which are read later.
            committed = {tp: self._consumer.committed(tp, timeout_ms=_ASK_WITHIN) or 0 for tp in found}
            begin, end = self._consumer.beginning_offsets(found), self._consumer.end_offsets(found)
            for tp in found:
                partition = self.partitions[topic].setdefault(tp.partition, Partition())
                if end[tp] < partition.end:  # the topic was recreated
                    partition = self.partitions[topic][tp.partition] = Partition()
                partition.begin, partition.end = begin[tp], end[tp]
                partition.committed = max(committed[tp], begin[tp])
        self._read_letters(existing.get(dead_letter_topic(self._profile), []))

    def read(self, topic: str, number: int, spans: Iterable[Span]) -> None:
        """Read the records at these offsets and find those that the sink skips without an attributable dead letter.

        A connector without a dead-letter topic skips nulls silently.
        """
        partition, tp = self.partitions[topic][number], TopicPartition(topic, number)
        for start, stop in spans:
            for record in self._records(tp, max(start, partition.begin), stop):
                if not record.value:
                    partition.nulls.add(record.offset)
                elif record.value in self._unaddressed:
                    partition.dead.add(record.offset)

    def _existing(self) -> dict[str, list[TopicPartition]]:
        """The partitions of the existing topics, in order."""
        names = {*self._profile.topics, dead_letter_topic(self._profile)} & set(self._admin.list_topics())
        return {
            topic["name"]: sorted(TopicPartition(topic["name"], p["partition_index"]) for p in topic["partitions"])
            for topic in (self._admin.describe_topics(sorted(names)) if names else [])
        }

    def _read_letters(self, found: list[TopicPartition]) -> None:
        begin, end = self._consumer.beginning_offsets(found), self._consumer.end_offsets(found)
        for tp in found:
            start = max(self._letters_read.get(tp, 0), begin[tp])
            for letter in self._records(tp, start, end[tp]):
                self._add_letter(letter)
            self._letters_read[tp] = end[tp]

    def _add_letter(self, letter: ConsumerRecord) -> None:
        """Offsets are sets, because the real sink writes the same letters again after a restart."""
        says = {key.removeprefix(_CONTEXT): value for key, value in letter.headers if key.startswith(_CONTEXT)}
        try:
            topic, number, offset = says["topic"].decode(), int(says["partition"]), int(says["offset"])
        except (KeyError, ValueError):  # without errors.deadletterqueue.context.headers.enable
            self._unaddressed.add(letter.value or b"")
            return
        if topic in self.partitions and number in self.partitions[topic]:
            partition = self.partitions[topic][number]
            (partition.dead if letter.value else partition.nulls).add(offset)

    def _records(self, tp: TopicPartition, start: int, stop: int) -> Iterator[ConsumerRecord]:
        """The records at these offsets; raises NotReady if Kafka does not return them."""
        if start >= stop:
            return
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        until = time.monotonic() + _READ_WITHIN
        while self._consumer.position(tp, timeout_ms=_ASK_WITHIN) < stop:
            polled: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=500)
            for record in polled.get(tp, []):
                until = time.monotonic() + _READ_WITHIN
                if record.offset < stop:
                    yield record
            if time.monotonic() > until:
                raise NotReady(f"{tp.topic}, partition {tp.partition}: records before offset {stop} cannot be read")
