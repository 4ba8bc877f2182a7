"""Writing records to Kafka, all those of a request at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Sequence
from typing import NamedTuple

from kafka import KafkaProducer, TopicPartition
from kafka.errors import IllegalStateError, MessageSizeTooLargeError
from kafka.partitioner import murmur2

from services.rest_proxy import compat
from services.rest_proxy.compat import Outcome


class Record(NamedTuple):
    """A record as it is to be written; `partition` is null where Kafka's partitioner decides."""

    key: bytes | None
    value: bytes | None
    partition: int | None


class Written:
    """The records of one call of `Writer.write`, in flight in `batches`."""

    def __init__(self, count: int) -> None:
        self.batches: list[compat.RecordBatch] = []
        self.errors: dict[int, Exception] = {}
        self._count = count
        self._places: list[tuple[compat.Place, list[int]]] = []

    def place(self, place: compat.Place, numbers: list[int]) -> None:
        """Note in which batch the records of these numbers are."""
        self.batches.append(place[0])
        self._places.append((place, numbers))

    def outcomes(self) -> list[Outcome]:
        """What became of each record, in the order of the request."""
        closed: Outcome = IllegalStateError("The producer was closed meanwhile; try again")
        outcomes = [self.errors.get(number, closed) for number in range(self._count)]
        for (batch, first, count), numbers in self._places:
            for number, outcome in zip(numbers, batch.outcomes(first, count), strict=True):
                outcomes[number] = outcome
        return outcomes


class Writer:
    """A producer, and the choice of partitions for records that name none. Thread-safe."""

    def __init__(self, producer: KafkaProducer) -> None:
        self.producer = producer
        self._batch_size: int = producer.config["batch_size"]
        self._max_size: int = producer.config["max_request_size"]
        self._sticky: dict[str, _Sticky] = {}
        self._partitioning = threading.Lock()

    def write(self, topic: str, records: Sequence[Record], partitions: Collection[int]) -> Written:
        """Hand over records in their order; `partitions` are those of the topic, and every named one is among them.

        A record that is too large or meets a closed producer fails at once.
        """
        written = Written(len(records))
        numbers: dict[int, list[int]] = {}
        with self._partitioning:
            sticky = self._sticky.setdefault(topic, _Sticky(self._batch_size))
            for number, (key, value, partition) in enumerate(records):
                size = len(key or b"") + len(value or b"")
                if size + 200 > self._max_size and (error := self._too_large(key, value)):
                    written.errors[number] = error
                    continue
                if partition is None:
                    partition = sticky.choose(size, partitions) if key is None else _hashed(key, len(partitions))
                numbers.setdefault(partition, []).append(number)
        for partition, chosen in numbers.items():
            appended = 0
            for place in compat.append(
                self.producer, TopicPartition(topic, partition), [records[number][:2] for number in chosen]
            ):
                written.place(place, chosen[appended : appended + place[2]])
                appended += place[2]
        compat.wake(self.producer)
        return written

    def _too_large(self, key: bytes | None, value: bytes | None) -> MessageSizeTooLargeError | None:
        size = compat.record_size(key, value)
        if size <= self._max_size:
            return None
        return MessageSizeTooLargeError(
            f"The message is {size} bytes when serialized which is larger than {self._max_size}, "
            "which is the value of the max.request.size configuration."
        )


class _Sticky:
    """Kafka's partitioner for records without key and partition (KIP-794): one partition for a while, then any.

    With batches that are sent at once it leaves a partition after two batches' worth of bytes, or after the size of
    one batch if a single record has filled it.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._partition: int | None = None
        self._bytes = 0

    def choose(self, size: int, partitions: Collection[int]) -> int:
        """The partition of a record of that size."""
        chosen = self._partition
        if chosen is None or chosen not in partitions:
            chosen, self._bytes = random.choice(sorted(partitions)), 0
        self._bytes += size
        full = self._bytes >= 2 * self._batch_size or size >= self._batch_size
        self._partition = None if full else chosen
        return chosen


def _hashed(key: bytes, partitions: int) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
