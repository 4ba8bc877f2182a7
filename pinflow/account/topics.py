"""What lies in Kafka: the partitions of the profile's topics, and the records that the sink skipped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from pinflow import broker
from pinflow.account.offsets import Span
from pinflow.profile import Profile

_READ_WITHIN = 30.0
"""Seconds for reading records that are known to be there."""
_CONTEXT = "__connect.errors."
"""Of the headers in which Connect says where a dead letter comes from (KIP-298)."""


def dead_letter_topic(profile: Profile) -> str:
    """Where the sink puts records that are not JSON."""
    return f"dlq-{profile.uid}"


@dataclass
class Partition:
    """A partition: offsets that Kafka holds, the sink's committed offset, and the offsets that the sink skipped."""

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
    """The profile's topics, looked at again and again through one consumer. Methods raise NotReady."""

    def __init__(self, profile: Profile, consumer: KafkaConsumer) -> None:
        self._profile, self._consumer = profile, consumer
        self._letters_read: dict[TopicPartition, int] = {}
        self._unaddressed: set[bytes] = set()
        self.partitions: dict[str, dict[int, Partition]] = {topic: {} for topic in profile.topics}

    @classmethod
    @contextmanager
    def of(cls, profile: Profile) -> Iterator[Topics]:
        """Raises NotReady where Kafka does not answer, also while it is asked."""
        group = f"connect-{profile.connect.connector}"
        with broker.consumer(profile, group_id=group, enable_auto_commit=False) as consumer:
            yield cls(profile, consumer)

    def refresh(self) -> None:
        """Look at the ends and commits of all partitions, and read the dead letters that have come."""
        there = self._consumer.topics()
        for topic in self._profile.topics:
            if topic not in there:
                self.partitions[topic].clear()
                continue
            found = [TopicPartition(topic, p) for p in sorted(self._consumer.partitions_for_topic(topic) or ())]
            # Commits first: what is committed by then is below an end that is read later.
            committed = {tp: self._consumer.committed(tp) or 0 for tp in found}
            begin, end = self._consumer.beginning_offsets(found), self._consumer.end_offsets(found)
            for tp in found:
                partition = self.partitions[topic].setdefault(tp.partition, Partition())
                if end[tp] < partition.end:  # the topic was made anew
                    partition = self.partitions[topic][tp.partition] = Partition()
                partition.begin, partition.end = begin[tp], end[tp]
                partition.committed = max(committed[tp], begin[tp])
        if dead_letter_topic(self._profile) in there:
            self._read_letters(dead_letter_topic(self._profile))

    def read(self, topic: str, number: int, spans: Iterable[Span]) -> None:
        """Find what of these offsets the sink skips without a letter that names them, by reading the records.

        A connector that has no dead-letter topic leaves nulls out and says nothing.
        """
        partition, tp = self.partitions[topic][number], TopicPartition(topic, number)
        for start, stop in spans:
            for record in self._records(tp, start, stop):
                if not record.value:
                    partition.nulls.add(record.offset)
                elif record.value in self._unaddressed:
                    partition.dead.add(record.offset)

    def _read_letters(self, topic: str) -> None:
        found = [TopicPartition(topic, p) for p in self._consumer.partitions_for_topic(topic) or ()]
        begin, end = self._consumer.beginning_offsets(found), self._consumer.end_offsets(found)
        for tp in found:
            start = max(self._letters_read.get(tp, 0), begin[tp])
            for letter in self._records(tp, start, end[tp]):
                self._take(letter)
            self._letters_read[tp] = end[tp]

    def _take(self, letter: ConsumerRecord) -> None:
        """After a restart the real sink writes the same letters again: offsets are a set."""
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
        """The records at these offsets; ends early where Kafka does not give them in time."""
        if start >= stop:
            return
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)
        until = time.monotonic() + _READ_WITHIN
        while self._consumer.position(tp) < stop and time.monotonic() < until:
            polled: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=500)
            for record in polled.get(tp, []):
                if record.offset < stop:
                    yield record
