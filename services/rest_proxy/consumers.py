"""Consumer instances: Kafka consumers that live between the requests of one HTTP client."""

from __future__ import annotations

import base64
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import IllegalStateError, KafkaConfigurationError, KafkaError
from kafka.structs import OffsetAndMetadata

from services.rest_proxy import documents
from services.rest_proxy.cluster import Cluster
from services.rest_proxy.errors import (
    KAFKA_ERROR,
    RestError,
    illegal_state,
    instance_not_found,
    invalid_consumer_config,
    kafka_failure,
    unprocessable,
)
from services.rest_proxy.settings import Settings

_FIELDS = {"name", "id", "format", "auto.offset.reset", "auto.commit.enable", "consumer.request.timeout.ms"} | {
    "fetch.min.bytes"
}


@dataclass
class Instance:
    """One consumer. kafka-python's consumers are for one thread at a time, so each use of it holds `lock`."""

    name: str
    format: str
    consumer: KafkaConsumer
    request_timeout_ms: int
    request_max_bytes: int
    lock: threading.Lock
    last_used: float
    closed: bool = False

    @contextmanager
    def use(self) -> Iterator[KafkaConsumer]:
        """The consumer, for this thread alone; failures of Kafka's come out as what the API answers."""
        with self.lock:
            if self.closed:
                raise instance_not_found()
            try:
                yield self.consumer
            except (IllegalStateError, ValueError, AssertionError) as error:
                raise illegal_state(str(error)) from None
            except KafkaError as error:
                raise kafka_failure(error) from None
            finally:
                self.last_used = time.monotonic()

    def close(self) -> None:
        """Leave the group, committing what was read if the instance commits by itself."""
        with self.lock:
            self.closed = True
            # The group notices a member that could not say goodbye by its session timeout.
            with suppress(KafkaError):
                self.consumer.close(timeout_ms=5000)


class Instances:
    """The consumer instances of this proxy, by group and name."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._lock = threading.Lock()
        self._instances: dict[tuple[str, str], Instance | None] = {}

    def create(self, group: str, document: Any) -> str:
        """Make an instance from the request's document and give its name; raises 409/40902 if that name is taken."""
        wanted = {} if document is None else document
        if not isinstance(wanted, dict):
            raise unprocessable("Cannot deserialize a consumer instance: expected an object")
        for field in wanted:
            if field not in _FIELDS:
                raise unprocessable(f"Unrecognized field: {field}")
        name = str(wanted.get("id") or wanted.get("name") or f"rest-consumer-{uuid.uuid4()}")
        with self._lock:
            if (group, name) in self._instances:
                message = "Consumer with specified consumer ID already exists in the specified consumer group."
                raise RestError(409, 40902, message)
            self._instances[group, name] = None
        made = None
        try:
            made = self._make(group, name, wanted)
        finally:
            with self._lock:
                if made is None:
                    del self._instances[group, name]
                else:
                    self._instances[group, name] = made
        return name

    def get(self, group: str, name: str) -> Instance:
        """An instance; raises 404/40403 if there is none (any more)."""
        with self._lock:
            instance = self._instances.get((group, name))
        if instance is None:
            raise instance_not_found()
        return instance

    def delete(self, group: str, name: str) -> None:
        """Close an instance; raises 404/40403 if there is none."""
        self.get(group, name)
        with self._lock:
            instance = self._instances.pop((group, name), None)
        if instance is None:
            raise instance_not_found()
        instance.close()

    def close_idle(self, seconds: float) -> None:
        """Close the instances that have not been used for so many seconds."""
        limit = time.monotonic() - seconds
        with self._lock:
            idle = [key for key, found in self._instances.items() if found and found.last_used <= limit]
        for group, name in idle:
            with suppress(RestError):
                self.delete(group, name)

    def _make(self, group: str, name: str, wanted: dict[str, Any]) -> Instance:
        embedded = wanted.get("format") or "binary"
        if embedded not in ("binary", "json"):
            raise invalid_consumer_config(f"format {embedded}: this stand-in has json and binary")
        options: dict[str, Any] = {"group_id": group}
        if wanted.get("auto.offset.reset") is not None:
            options["auto_offset_reset"] = _one_of(wanted, "auto.offset.reset", ("earliest", "latest", "none"))
        if wanted.get("auto.commit.enable") is not None:
            options["enable_auto_commit"] = _one_of(wanted, "auto.commit.enable", ("true", "false")) == "true"
        timeout = _integer(wanted, "consumer.request.timeout.ms", self._settings.request_timeout_ms)
        _integer(wanted, "fetch.min.bytes", -1)
        try:
            consumer = self._cluster.consumer(**options)
        except KafkaConfigurationError as error:
            raise invalid_consumer_config(str(error)) from None
        except KafkaError as error:
            raise kafka_failure(error) from None
        limit = self._settings.request_max_bytes
        return Instance(name, embedded, consumer, timeout, limit, threading.Lock(), time.monotonic())


def read(instance: Instance, timeout_ms: int | None, max_bytes: int | None) -> bytes:
    """The next records of an instance as the answer's body: a JSON list.

    Waits for the first record no longer than the smaller of `timeout_ms` and the instance's own limit, and returns
    what is there by then. `max_bytes` limits the bytes of keys and values; one record is given in any case, so that
    a reader gets on. A record that is not of the instance's format is an error of its own (50002) and is skipped:
    the next read goes on behind it.
    """
    timeout = instance.request_timeout_ms if not timeout_ms else min(timeout_ms, instance.request_timeout_ms)
    limit = instance.request_max_bytes if not max_bytes else min(max_bytes, instance.request_max_bytes)
    deadline = time.monotonic() + timeout / 1000
    given: list[bytes] = []
    size = 0
    with instance.use() as consumer:
        while size < limit:
            left = max(0, int((deadline - time.monotonic()) * 1000))
            polled = consumer.poll(timeout_ms=0 if given else left)
            if not polled and (given or left == 0):
                break
            fetched = [record for records in polled.values() for record in records]
            for position, record in enumerate(fetched):
                size += len(record.key or b"") + len(record.value or b"")
                if given and size > limit:
                    _put_back(consumer, fetched[position:])
                    break
                try:
                    given.append(_entry(record, instance.format))
                except RestError:
                    if given:
                        _put_back(consumer, fetched[position:])
                        return _list(given)
                    _put_back(consumer, fetched[position + 1 :])
                    raise
    return _list(given)


def subscribe(instance: Instance, document: Any) -> None:
    """Subscribe to `{"topics": […]}` or to `{"topic_pattern": "…"}`; replaces an earlier subscription."""
    wanted = _object(document, {"topics", "topic_pattern"})
    topics, pattern = wanted.get("topics"), wanted.get("topic_pattern")
    if (topics is None) == (pattern is None):
        raise unprocessable("expected either topics or topic_pattern")
    if not (isinstance(pattern, str) or (isinstance(topics, list) and all(isinstance(t, str) for t in topics))):
        raise unprocessable("topics: must be a list of names; topic_pattern: must be a text")
    with instance.use() as consumer:
        try:
            consumer.subscribe(topics=topics or (), pattern=pattern)
        except re.error as error:
            raise unprocessable(f"topic_pattern: {error}") from None


def subscription(instance: Instance) -> dict[str, list[str]]:
    """The names of the topics that an instance is subscribed to."""
    with instance.use() as consumer:
        return {"topics": sorted(consumer.subscription() or ())}


def unsubscribe(instance: Instance) -> None:
    """Give up all topics."""
    with instance.use() as consumer:
        consumer.unsubscribe()


def assign(instance: Instance, document: Any) -> None:
    """Take the partitions of `{"partitions": [{"topic", "partition"}]}` by hand."""
    partitions = _partitions(document)
    with instance.use() as consumer:
        consumer.assign(partitions)


def assignment(instance: Instance) -> dict[str, Any]:
    """The partitions that an instance has, by hand or from its group."""
    with instance.use() as consumer:
        return {"partitions": [_named(partition) for partition in sorted(consumer.assignment())]}


def seek(instance: Instance, document: Any) -> None:
    """Go on reading at the offsets of `{"offsets": [{"topic", "partition", "offset"}]}`."""
    offsets = _offsets(document)
    with instance.use() as consumer:
        for partition, (offset, _) in offsets.items():
            consumer.seek(partition, offset)


def seek_to_beginning(instance: Instance, document: Any) -> None:
    """Go on reading at the first record of each of these partitions."""
    partitions = _partitions(document)
    with instance.use() as consumer:
        consumer.seek_to_beginning(*partitions)


def seek_to_end(instance: Instance, document: Any) -> None:
    """Go on reading behind the last record of each of these partitions."""
    partitions = _partitions(document)
    with instance.use() as consumer:
        consumer.seek_to_end(*partitions)


def commit(instance: Instance, document: Any) -> list[Any]:
    """Commit the offsets of the given records, or without a document all that was read.

    What is given is the offset of a record that was dealt with; Kafka stores the next one, as the real proxy does.
    """
    offsets = None
    if document is not None:
        offsets = {
            partition: OffsetAndMetadata(offset + 1, metadata, -1)
            for partition, (offset, metadata) in _offsets(document).items()
        }
    with instance.use() as consumer:
        consumer.commit(offsets, timeout_ms=10_000)
    return []


def committed(instance: Instance, document: Any) -> dict[str, Any]:
    """What the group has committed for each of the given partitions; partitions without a commit are left out."""
    partitions = _partitions(document)
    with instance.use() as consumer:
        found = {p: consumer.committed(p, metadata=True, timeout_ms=10_000) for p in partitions}
    return {
        "offsets": [
            {**_named(partition), "offset": at.offset, "metadata": at.metadata or ""}
            for partition, at in found.items()
            if at is not None
        ]
    }


def _entry(record: Any, embedded: str) -> bytes:
    try:
        key, value = (_external(data, embedded) for data in (record.key, record.value))
    except RestError as error:
        where = f"{record.topic} partition {record.partition} offset {record.offset}"
        raise RestError(500, KAFKA_ERROR, f"Kafka error: {where} is not {embedded}: {error.message}") from None
    topic = documents.dump(record.topic)
    return b'{"topic":%b,"key":%b,"value":%b,"partition":%d,"offset":%d}' % (
        topic,
        key,
        value,
        record.partition,
        record.offset,
    )


def _external(data: bytes | None, embedded: str) -> bytes:
    if data is None:
        return b"null"
    return documents.dump(documents.parse(data)) if embedded == "json" else b'"%b"' % base64.b64encode(data)


def _list(entries: list[bytes]) -> bytes:
    return b"[" + b",".join(entries) + b"]"


def _put_back(consumer: KafkaConsumer, records: list[Any]) -> None:
    """Read these records again at the next poll: for each partition from the first of them on."""
    for record in reversed(records):
        consumer.seek(TopicPartition(record.topic, record.partition), record.offset)


def _named(partition: TopicPartition) -> dict[str, Any]:
    return {"topic": partition.topic, "partition": partition.partition}


def _object(document: Any, fields: set[str]) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise unprocessable(f"expected an object with {' or '.join(sorted(fields))}")
    for field in document:
        if field not in fields:
            raise unprocessable(f"Unrecognized field: {field}")
    return document


def _entries(document: Any, field: str, fields: set[str]) -> list[dict[str, Any]]:
    entries = _object(document, {field}).get(field)
    if not isinstance(entries, list):
        raise unprocessable(f"{field}: must be a list")
    return [_object(entry, fields) for entry in entries]


def _partition(entry: dict[str, Any]) -> TopicPartition:
    topic, number = entry.get("topic"), entry.get("partition")
    if not isinstance(topic, str) or type(number) is not int or number < 0:
        raise unprocessable("expected a topic's name and the number of a partition")
    return TopicPartition(topic, number)


def _partitions(document: Any) -> list[TopicPartition]:
    return [_partition(entry) for entry in _entries(document, "partitions", {"topic", "partition"})]


def _offsets(document: Any) -> dict[TopicPartition, tuple[int, str]]:
    found = {}
    for entry in _entries(document, "offsets", {"topic", "partition", "offset", "metadata"}):
        offset = entry.get("offset")
        if type(offset) is not int or offset < 0:
            raise unprocessable("offset: must be a whole number from 0 on")
        found[_partition(entry)] = offset, str(entry.get("metadata") or "")
    return found


def _one_of(wanted: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    given = wanted[name]
    value = str(given).lower() if isinstance(given, bool | str) else given
    if value not in allowed:
        raise invalid_consumer_config(f"{name}: expected {' or '.join(allowed)}")
    return str(value)


def _integer(wanted: dict[str, Any], name: str, default: int) -> int:
    """A number that may come as text; the API has both."""
    value = wanted.get(name, default)
    try:
        return int(str(value))
    except ValueError:
        raise invalid_consumer_config(f"{name}: expected a whole number") from None
