"""What services/rest_proxy/compat.py patches in kafka-python is still there; and still needed."""

from __future__ import annotations

import inspect
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.producer.sender import Sender
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from services.rest_proxy import compat


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def producer() -> Any:
    """A producer's inside without its threads."""
    config = {"compression_attrs": 0, "batch_size": 1000}
    return SimpleNamespace(config=config, _accumulator=RecordAccumulator(batch_size=1000))


def test_kafka_python_has_no_send_for_many_records() -> None:
    assert not [name for name in dir(KafkaProducer) if "batch" in name or "many" in name], "use it in place of append"


def test_the_producer_has_an_accumulator_and_a_sender_that_can_be_closed_at_once() -> None:
    source = inspect.getsource(KafkaProducer)
    assert "self._accumulator = " in source and "self._sender = " in source
    assert parameters(Sender.force_close) == parameters(Sender.wakeup) == ["self"]


def test_the_accumulator_keeps_batches_by_partition() -> None:
    accumulator = RecordAccumulator()
    partition = TopicPartition("t", 0)
    assert isinstance(accumulator._batches[partition], deque)
    assert accumulator._closed is False
    with accumulator._tp_lock(partition):
        accumulator._appends_in_progress.increment()
        accumulator._appends_in_progress.decrement()
    batch = ProducerBatch(partition, MemoryRecordsBuilder(2, 0, 1000))
    accumulator._incomplete.add(batch)


def test_a_batch_takes_its_futures_from_record_futures_when_it_is_split() -> None:
    assert "batch._record_futures" in inspect.getsource(RecordAccumulator.split_and_reenqueue)
    assert parameters(FutureRecordMetadata)[:2] == ["produce_future", "batch_index"]


def test_appended_records_are_read_back_by_the_library_itself() -> None:
    made, partition = producer(), TopicPartition("t", 0)
    records: list[tuple[bytes | None, bytes | None]] = [(b"k", b"v"), (None, b"x" * 300), (b"", None), (None, b"")]
    ((batch, first, count),) = compat.append(made, partition, records)
    assert (first, count, batch.record_count) == (0, 4, 4)
    batch.records.close()
    found = [record for part in MemoryRecords(batch.records.buffer()) for record in part]
    assert [(record.key, record.value, record.offset) for record in found] == [(*r, n) for n, r in enumerate(records)]


def test_a_full_batch_is_followed_by_another_one() -> None:
    places = compat.append(producer(), TopicPartition("t", 0), [(None, b"x" * 400)] * 5)
    assert [(first, count) for _, first, count in places] == [(0, 2), (0, 2), (0, 1)]


def test_all_records_of_a_batch_are_settled_by_one_future() -> None:
    ((batch, _, _),) = compat.append(producer(), TopicPartition("t", 3), [(None, b"1"), (None, b"2")])
    assert not batch.settled.done()
    batch.complete(40, -1)
    assert batch.settled.done()
    assert batch.outcomes(1, 1) == [(3, 41)]


def test_the_size_of_a_record_is_estimated() -> None:
    assert compat.record_size(b"k", b"v") > 2
    assert parameters(DefaultRecordBatchBuilder.estimate_size_in_bytes)[-3:] == ["key", "value", "headers"]


def test_a_consumer_joins_again_when_it_learns_of_its_topics() -> None:
    source = inspect.getsource(ConsumerCoordinator.need_rejoin)
    assert "self._assignment_snapshot != self._metadata_snapshot" in source, "load_topics may not be needed any more"
    assert parameters(KafkaConsumer.topics) == ["self"]


@pytest.mark.parametrize("name", ["_first_timestamp", "_max_timestamp", "_buffer", "_last_offset", "_num_records"])
def test_the_builder_of_a_batch_has(name: str) -> None:
    assert hasattr(MemoryRecordsBuilder(2, 0, 1000)._builder, name)
