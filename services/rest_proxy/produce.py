"""Producing: records of one request to one topic, and what became of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RetriableError,
    UnknownTopicOrPartitionError,
)

from services.rest_proxy import documents
from services.rest_proxy.cluster import NULL, Cluster
from services.rest_proxy.errors import kafka_code, partition_not_found, unprocessable

_REQUEST_FIELDS = {"records", "key_schema", "key_schema_id", "value_schema", "value_schema_id"}
_RECORD_FIELDS = {"key", "value", "partition"}


class DeliveryTimeoutError(KafkaTimeoutError):  # type: ignore[misc]
    """The producer broke its own promise to settle a record within delivery.timeout.ms."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is to be written; `partition` is null where Kafka's partitioner decides."""

    key: bytes | None
    value: bytes | None
    partition: int | None


def records(document: Any, embedded: Callable[[Any], bytes | None]) -> list[Record]:
    """The records of a request's document; raises 422 for anything that is not a produce request."""
    if not isinstance(document, dict):
        raise unprocessable("Cannot deserialize a produce request: expected an object")
    _refuse_unknown(document, _REQUEST_FIELDS)
    given = document.get("records")
    if not isinstance(given, list) or not given:
        raise unprocessable("records: must be a list that is not empty")
    return [_record(entry, embedded) for entry in given]


def _record(entry: Any, embedded: Callable[[Any], bytes | None]) -> Record:
    if not isinstance(entry, dict):
        raise unprocessable("records: each must be an object with a value")
    _refuse_unknown(entry, _RECORD_FIELDS)
    partition = entry.get("partition")
    if partition is not None and (type(partition) is not int or partition < 0):
        raise unprocessable("partition: must be a whole number from 0 on")
    return Record(embedded(entry.get("key")), embedded(entry.get("value")), partition)


def _refuse_unknown(document: dict[str, Any], known: set[str]) -> None:
    for name in document:
        if name not in known:
            raise unprocessable(f"Unrecognized field: {name}")


def produce(cluster: Cluster, topic: str, batch: list[Record], partition: int | None = None) -> bytes:
    """Write the records in their order and wait for each; gives the answer's body, with an entry for each record.

    `partition` is the one in the request's path. A failure of Kafka's stands in the entry of its record; nothing is
    reported as written that is not. Raises 404 if the partition in the path does not exist.
    """
    try:
        if not cluster.has_topic(topic):
            raise UnknownTopicOrPartitionError(f"Topic {topic} not present in metadata")
        producer = cluster.producer()
        partitions = producer.partitions_for(topic)
    except (KafkaError, ValueError) as error:
        return _body([error] * len(batch))
    if partition is not None and partition not in partitions:
        raise partition_not_found()
    sent = [_send(producer, partitions, topic, record, partition) for record in batch]
    deadline = time.monotonic() + cluster.delivery_timeout + 5
    outcomes = [_settle(future, deadline) for future in sent]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if any(isinstance(failure, DeliveryTimeoutError) for failure in failures):
        # Records that are reported as failed must not be written later on.
        cluster.replace_producer(producer, grace=0)
    elif any(not isinstance(failure, RetriableError | MessageSizeTooLargeError) for failure in failures):
        cluster.replace_producer(producer, grace=cluster.delivery_timeout)
    return _body(outcomes)


def _send(producer: KafkaProducer, known: set[int], topic: str, record: Record, partition: int | None) -> Any:
    """The future of a record, or the error that kept it from being sent."""
    wanted = record.partition if partition is None else partition
    if wanted is not None and wanted not in known:
        return KafkaTimeoutError(f"Partition {wanted} of topic {topic} is not present in metadata")
    value = NULL if record.value is None else record.value
    try:
        return producer.send(topic, value, record.key, partition=wanted)
    except KafkaError as error:
        return error


def _settle(future: Any, deadline: float) -> Any:
    """The metadata of a written record, or the error."""
    if isinstance(future, KafkaError):
        return future
    try:
        return future.get(timeout=max(0.0, deadline - time.monotonic()))
    except KafkaError as error:
        return error if future.is_done else DeliveryTimeoutError("The broker did not answer in time")


def _body(outcomes: list[Any]) -> bytes:
    offsets = [
        {"partition": None, "offset": None, "error_code": kafka_code(outcome), "error": str(outcome)}
        if isinstance(outcome, Exception)
        else {"partition": outcome.partition, "offset": outcome.offset, "error_code": None, "error": None}
        for outcome in outcomes
    ]
    return documents.dump({"offsets": offsets, "key_schema_id": None, "value_schema_id": None})
