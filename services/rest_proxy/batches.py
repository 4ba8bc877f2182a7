"""Records into Kafka, all those of a request at once.

`KafkaProducer.send` makes a future for each record, which costs more than everything else that the proxy does with it.
Here the records go straight into the producer's accumulator, in batches with one future each; sending, retries,
timeouts and splits stay the producer's. This is the one module that knows the inside of kafka-python (3.0).
"""

from __future__ import annotations

import concurrent.futures
import functools
import random
import threading
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from kafka import KafkaProducer, TopicPartition
from kafka.errors import IllegalStateError, KafkaTimeoutError, MessageSizeTooLargeError
from kafka.partitioner import murmur2
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder

# The format of records that Kafka has had since 0.11.
_MAGIC = 2

Outcome = tuple[int, int] | Exception
"""Partition and offset of a record that is written, or why it is not."""


class Record(NamedTuple):
    """A record as it is to be written; `partition` is null where Kafka's partitioner decides."""

    key: bytes | None
    value: bytes | None
    partition: int | None


class _Records(MemoryRecordsBuilder):  # type: ignore[misc]
    """The library's builder of a batch, with an `append` that takes a third of the time."""

    def append(self, timestamp: int, key: bytes | None, value: bytes | None, headers: object = None) -> bool | None:
        """Write a record without headers; null if there is no room for it."""
        inner = self._builder
        if inner is None:
            return None
        number: int = self.next_offset()
        if number == 0:
            inner._first_timestamp = inner._max_timestamp = timestamp
        record = b"\0%b%b%b%b\0" % (
            _varint(timestamp - inner._first_timestamp),
            _varint(number),
            _field(key),
            _field(value),
        )
        size = _varint(len(record))
        if number and len(inner._buffer) + len(size) + len(record) > self._batch_size:
            return None
        inner._buffer += size
        inner._buffer += record
        inner._max_timestamp = max(inner._max_timestamp, timestamp)
        inner._last_offset, inner._num_records = number, number + 1
        self._next_offset = number + 1
        return True


@functools.lru_cache(8192)
def _varint(number: int) -> bytes:
    """A number of up to 64 bits as records have them: zigzag, seven bits a byte, the lowest first."""
    number, found = number << 1 ^ number >> 63, b""
    while number > 0x7F:
        found += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return found + bytes((number,))


def _field(data: bytes | None) -> bytes:
    return b"\x01" if data is None else _varint(len(data)) + data  # -1 and nothing is null


class RecordBatch(ProducerBatch):  # type: ignore[misc]
    """A batch whose records share one future: `settled` is done when each of them is written or has failed."""

    def __init__(self, where: TopicPartition, builder: _Records) -> None:
        self.settled: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._singles: list[FutureRecordMetadata] = []
        super().__init__(where, builder)
        self.produce_future.add_both(self._check)

    def outcomes(self) -> list[Outcome]:
        """What became of each record."""
        numbers, partition = range(self.record_count), self.topic_partition.partition
        if not self.settled.done():
            return [KafkaTimeoutError("The producer did not settle the record in time")] * len(numbers)
        if self._singles:
            return [single.exception or (partition, single.value.offset) for single in self._singles]
        first, _, failure = self.produce_future.value
        return [failure(number) for number in numbers] if failure else [(partition, first + n) for n in numbers]

    @property
    def _record_futures(self) -> list[FutureRecordMetadata]:
        """Asked for only when the broker finds the batch too large and it is split: the parts settle these."""
        if not self._singles:
            numbers = range(self.record_count)
            self._singles = [FutureRecordMetadata(self.produce_future, n, -1, None, -1, -1, -1) for n in numbers]
            for single in self._singles:
                single.add_both(self._check)
        return self._singles

    @_record_futures.setter
    def _record_futures(self, futures: list[FutureRecordMetadata]) -> None:
        """The library's constructor sets an empty list."""

    def _check(self, _: object) -> None:
        if not self.settled.done() and all(single.is_done for single in self._singles):
            self.settled.set_result(None)


class Written:
    """The records of one call of `Writer.write`, on their way in `batches`."""

    def __init__(self, count: int) -> None:
        self.batches: list[RecordBatch] = []
        self._outcomes: list[Outcome] = [IllegalStateError("The producer was closed meanwhile; try again")] * count
        self._places: list[tuple[RecordBatch, int, list[int]]] = []

    def fail(self, number: int, error: Exception) -> None:
        """The record of that number has not been handed over."""
        self._outcomes[number] = error

    def place(self, batch: RecordBatch, first: int, numbers: list[int]) -> None:
        """The records of these numbers are in a batch, from its record `first` on."""
        self.batches.append(batch)
        self._places.append((batch, first, numbers))

    def outcomes(self) -> list[Outcome]:
        """What became of each record, in the order in which they were given."""
        for batch, first, numbers in self._places:
            for number, outcome in zip(numbers, batch.outcomes()[first : first + len(numbers)], strict=True):
                self._outcomes[number] = outcome
        return self._outcomes


class Writer:
    """A producer, and where it puts records that name no partition. For any number of threads."""

    def __init__(self, producer: KafkaProducer) -> None:
        self.producer = producer
        self._accumulator = producer._accumulator
        self._batch_size: int = producer.config["batch_size"]
        self._max_size: int = producer.config["max_request_size"]
        self._sticky: dict[str, _Sticky] = {}
        self._placing = threading.Lock()

    def write(self, topic: str, records: Sequence[Record], partitions: Collection[int]) -> Written:
        """Hand over records in their order; `partitions` are those that the topic has, and all that are named exist.

        A record that is too large or meets a closed producer has its error at once.
        """
        written = Written(len(records))
        numbers: dict[int, list[int]] = {}
        with self._placing:
            sticky = self._sticky.setdefault(topic, _Sticky(self._batch_size))
            for number, (key, value, partition) in enumerate(records):
                size = len(key or b"") + len(value or b"")
                if size + 200 > self._max_size and (error := self._too_large(key, value)):
                    written.fail(number, error)
                    continue
                if partition is None:
                    partition = sticky.take(size, partitions) if key is None else _hashed(key, len(partitions))
                numbers.setdefault(partition, []).append(number)
        for partition, chosen in numbers.items():
            self._append(TopicPartition(topic, partition), chosen, records, written)
        self.producer._sender.wakeup()
        return written

    def abort(self) -> None:
        """Fail all that is not settled yet and send nothing more; `close` of the producer would wait for it first."""
        self.producer._sender.force_close()

    def _append(self, where: TopicPartition, numbers: list[int], records: Sequence[Record], written: Written) -> None:
        """Into the last batch of the partition that has not been sent yet, and into new ones."""
        accumulator = self._accumulator
        accumulator._appends_in_progress.increment()
        try:
            with accumulator._tp_lock(where):
                if accumulator._closed:
                    return
                queue, timestamp = accumulator._batches[where], int(time.time() * 1000)
                batch = queue[-1] if queue and isinstance(queue[-1], RecordBatch) else None
                start, first = 0, batch.record_count if batch else 0
                for position, number in enumerate(numbers):
                    key, value, _ = records[number]
                    if batch is None or batch.records.append(timestamp, key, value) is None:
                        if batch is not None and position > start:
                            written.place(batch, first, numbers[start:position])
                        batch, start, first = RecordBatch(where, self._builder()), position, 0
                        batch.records.append(timestamp, key, value)
                        queue.append(batch)
                        accumulator._incomplete.add(batch)
                if batch is not None:
                    written.place(batch, first, numbers[start:])
        finally:
            accumulator._appends_in_progress.decrement()

    def _builder(self) -> _Records:
        return _Records(_MAGIC, self.producer.config["compression_attrs"], self._batch_size)

    def _too_large(self, key: bytes | None, value: bytes | None) -> MessageSizeTooLargeError | None:
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, [])
        if size <= self._max_size:
            return None
        return MessageSizeTooLargeError(
            f"The message is {size} bytes when serialized which is larger than {self._max_size}, "
            "which is the value of the max.request.size configuration."
        )


class _Sticky:
    """Kafka's choice for records without key and partition (KIP-794): one partition for a while, then any.

    With batches that are sent at once a partition is left after two batches' worth of bytes, or after the size of one
    if a single record has filled it.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._partition: int | None = None
        self._bytes = 0

    def take(self, size: int, partitions: Collection[int]) -> int:
        """The partition of a record of that size."""
        if self._partition not in partitions:
            self._partition, self._bytes = random.choice(sorted(partitions)), 0
        chosen = self._partition
        assert chosen is not None
        self._bytes += size
        if self._bytes >= 2 * self._batch_size or size >= self._batch_size:
            self._partition = None
        return chosen


def _hashed(key: bytes, partitions: int) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
