"""Everything that reaches into kafka-python (3.0). tests/canaries/test_rest_proxy.py fails by name if that changes."""

from __future__ import annotations

import concurrent.futures
import functools
import time
from collections.abc import Sequence

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder

# The format of records that Kafka has had since 0.11.
_MAGIC = 2

Outcome = tuple[int, int] | Exception
"""Partition and offset of a written record, or why it was not written."""
Place = tuple["RecordBatch", int, int]
"""A batch, the position in it of the first of some records, and their number."""


def append(
    producer: KafkaProducer, partition: TopicPartition, records: Sequence[tuple[bytes | None, bytes | None]]
) -> list[Place]:
    """Add records (key, value) to a partition's unsent batches in the producer's accumulator; none if it is closed.

    Works around the cost of `KafkaProducer.send`: a future for each record, which takes longer than everything else
    that the proxy does with it (https://github.com/dpkp/kafka-python/issues/1877, closed without a fix). Sending,
    retries, timeouts and splits stay the producer's. Not needed any more once kafka-python can send a list of records
    with one future, as `AIOKafkaProducer.send_batch` does.
    """
    accumulator, places = producer._accumulator, []
    accumulator._appends_in_progress.increment()
    try:
        with accumulator._tp_lock(partition):
            if accumulator._closed:
                return []
            queue, timestamp = accumulator._batches[partition], int(time.time() * 1000)
            batch = queue[-1] if queue and isinstance(queue[-1], RecordBatch) else None
            start, first = 0, batch.record_count if batch else 0
            for position, (key, value) in enumerate(records):
                if batch is None or batch.records.append(timestamp, key, value) is None:
                    if batch is not None and position > start:
                        places.append((batch, first, position - start))
                    batch, start, first = RecordBatch(partition, _builder(producer)), position, 0
                    batch.records.append(timestamp, key, value)
                    queue.append(batch)
                    accumulator._incomplete.add(batch)
            if batch is not None:
                places.append((batch, first, len(records) - start))
        return places
    finally:
        accumulator._appends_in_progress.decrement()


def wake(producer: KafkaProducer) -> None:
    """Let the sender look for appended records at once. Goes with `append`."""
    producer._sender.wakeup()


def abort(producer: KafkaProducer) -> None:
    """Fail all records that are not settled and send nothing more.

    The public `close(timeout)` waits for the records first, and a request of the proxy has waited long enough. Needed
    until kafka-python has an equivalent of Java's `close(Duration.ZERO)`.
    """
    producer._sender.force_close()


def record_size(key: bytes | None, value: bytes | None) -> int:
    """The size by which the broker and max.request.size judge a record. kafka-python has no public function for it."""
    size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, [])
    return size


def load_topics(consumer: KafkaConsumer) -> None:
    """Let a consumer load its topics' partitions before it joins its group.

    Otherwise kafka-python joins a second time when it learns of them, and if a poll ends in the middle of that, it
    never notices that it has joined and commits nothing any more. The second join is known upstream
    (https://github.com/dpkp/kafka-python/pull/1173, closed without a fix). Needed until one join is enough.
    """
    consumer.topics()


def _builder(producer: KafkaProducer) -> _RecordsBuilder:
    return _RecordsBuilder(_MAGIC, producer.config["compression_attrs"], producer.config["batch_size"])


class RecordBatch(ProducerBatch):  # type: ignore[misc]
    """A batch whose records share one future: `settled` is done when each of them is written or has failed."""

    def __init__(self, partition: TopicPartition, builder: _RecordsBuilder) -> None:
        self.settled: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._singles: list[FutureRecordMetadata] = []
        super().__init__(partition, builder)
        self.produce_future.add_both(self._check)

    def outcomes(self, first: int, count: int) -> list[Outcome]:
        """What became of `count` records from the position `first` on."""
        numbers, partition = range(first, first + count), self.topic_partition.partition
        if not self.settled.done():
            return [KafkaTimeoutError("The producer did not settle the record in time")] * count
        if self._singles:
            singles = self._singles[first : first + count]
            return [single.exception or (partition, single.value.offset) for single in singles]
        offset, _, failure = self.produce_future.value
        return [failure(number) for number in numbers] if failure else [(partition, offset + n) for n in numbers]

    @property
    def _record_futures(self) -> list[FutureRecordMetadata]:
        """Read only when the broker finds the batch too large and it is split: the parts settle these futures."""
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


class _RecordsBuilder(MemoryRecordsBuilder):  # type: ignore[misc]
    """The library's builder of a batch, with an `append` that takes a third of the time. Goes with `append` above."""

    def append(self, timestamp: int, key: bytes | None, value: bytes | None, headers: object = None) -> bool | None:
        """Write a record without headers; null if the batch is full."""
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
    """A number of up to 64 bits in the records' encoding: zigzag, seven bits a byte, the lowest first."""
    number, found = number << 1 ^ number >> 63, b""
    while number > 0x7F:
        found += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return found + bytes((number,))


def _field(data: bytes | None) -> bytes:
    return b"\x01" if data is None else _varint(len(data)) + data  # -1 and nothing is null
