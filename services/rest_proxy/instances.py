"""Consumer instances: Kafka consumers that live between the requests of one HTTP client, and the calls on them.

They behave as those of the real proxy, traps included: records that were fetched and not returned yet stay in the
instance, so neither `positions` nor a new subscription drops them, and a record that cannot be read stops the instance
for good.
"""

from __future__ import annotations

import base64
import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import IllegalStateError, KafkaConfigurationError, KafkaError
from kafka.structs import OffsetAndMetadata

from services.rest_proxy import compat, documents
from services.rest_proxy.bodies import Entries, NewInstance, not_null
from services.rest_proxy.cluster import Cluster, is_legal
from services.rest_proxy.errors import (
    RestError,
    http_error,
    illegal_state,
    instance_not_found,
    invalid_consumer_config,
    kafka_failure,
    malformed,
    unprocessable,
)
from services.rest_proxy.settings import Settings

_RESETS = ("latest", "earliest", "none")
# As many as one fetch of the real one's consumers returns.
_RECORDS_A_POLL = 30
# The first read after a subscription waits for the group, as the real one's does.
_JOIN_SECONDS = 10.0
# How long one fetch may hold an instance, and how long other requests then have their chance.
_POLL_MS = 50
_PAUSE_SECONDS = 0.005
_COMMIT_MS = 10_000
_CLOSE_MS = 5_000


class _Joined(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def on_partitions_revoked(self, revoked: Any) -> None:
        pass

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._instance.joined = True


@dataclass(eq=False)
class Instance:
    """One consumer, connected when it is first used. It is for one thread at a time, so each use holds `lock`.

    source       how its partitions are chosen: "topics", "pattern", "partitions" (assigned by the client), or null
    joined       whether the group has assigned partitions since the subscription
    illegal      names among its topics that no topic can have
    fetched      records that no read has returned yet
    """

    name: str
    format: str
    connect: Callable[[], KafkaConsumer]
    request_timeout_ms: int
    request_max_bytes: int
    response_min_bytes: int = -1
    last_used: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    consumer: KafkaConsumer | None = None
    source: str | None = None
    joined: bool = False
    illegal: list[str] = field(default_factory=list)
    fetched: deque[Any] = field(default_factory=deque)
    closed: bool = False

    @contextmanager
    def use(self) -> Iterator[KafkaConsumer]:
        """The consumer, for this thread alone; turns Kafka's errors into those of the API."""
        with self.lock:
            if self.closed:
                raise instance_not_found()
            try:
                if self.consumer is None:
                    self.consumer = self.connect()
                yield self.consumer
            except (IllegalStateError, ValueError, AssertionError) as error:
                raise illegal_state(str(error)) from None
            except KafkaConfigurationError as error:
                raise invalid_consumer_config(str(error)) from None
            except KafkaError as error:
                raise kafka_failure(error) from None
            finally:
                self.last_used = time.monotonic()

    def close(self) -> None:
        """Leave the group; commits what was read if the instance commits automatically."""
        with self.lock:
            self.closed = True
            if self.consumer is not None:
                # A member that could not leave is removed from the group after its session timeout.
                with suppress(KafkaError):
                    self.consumer.close(timeout_ms=_CLOSE_MS)

    def read(self, timeout_ms: int, max_bytes: int) -> bytes:
        """The next records as the answer's body: a JSON list.

        Collects for the smaller of `timeout_ms` and the instance's own limit (that one alone if it is 0 or less) and
        then what is at hand, or until there are more than the instance's `fetch.min.bytes`, or until the next record
        would reach `max_bytes` of keys and values, so that nothing is returned if a single record does. Raises 500
        before a subscription, 400/40002 for an illegal topic, and 408/40801 at a record that is not of the instance's
        format: what was collected before it is lost, and the next read fails again.
        """
        timeout = self.request_timeout_ms if timeout_ms <= 0 else min(timeout_ms, self.request_timeout_ms)
        limit = self.request_max_bytes if max_bytes <= 0 else min(max_bytes, self.request_max_bytes)
        deadline = time.monotonic() + timeout / 1000
        entries: list[bytes] = []
        size = 0

        def wait_ms() -> int:
            return 0 if entries and time.monotonic() >= deadline else _POLL_MS

        while True:
            with self.use() as consumer:
                if self.source is None:
                    raise http_error(500)
                if self.illegal:
                    raise RestError(400, 40002, f"Invalid topics: [{', '.join(self.illegal)}]")
                enough = False
                while self.fetched or (not enough and self._fetch(consumer, wait_ms())):
                    record = self.fetched[0]
                    entry = _entry(record, self.format)
                    record_size = len(record.key or b"") + len(record.value or b"")
                    if size + record_size >= limit:
                        return _json_list(entries)
                    entries.append(entry)
                    self.fetched.popleft()
                    size += record_size
                    enough = 0 <= self.response_min_bytes < size
            if enough or time.monotonic() >= deadline:
                return _json_list(entries)
            time.sleep(_PAUSE_SECONDS)

    def _fetch(self, consumer: KafkaConsumer, wait_ms: int) -> bool:
        """Poll for more records; whether there are any. Without a wait only those that have arrived."""
        until = time.monotonic() + _JOIN_SECONDS
        while True:
            for records in consumer.poll(timeout_ms=wait_ms, max_records=_RECORDS_A_POLL).values():
                self.fetched.extend(records)
            if self.joined or self.fetched or not wait_ms or time.monotonic() >= until:
                return bool(self.fetched)

    def subscribe(self, wanted: tuple[list[str | None] | None, str | None]) -> None:
        """Subscribe to topics, else to a pattern, else change nothing; replaces a subscription of the same kind."""
        topics, pattern = wanted
        with self.use() as consumer:
            if topics is not None:
                self._subscribe_to_topics(consumer, topics)
            elif pattern is not None:
                # Java's pattern must match the whole name.
                whole = f"(?:{pattern})\\Z"
                try:
                    re.compile(whole)
                except re.error:
                    raise http_error(500) from None
                if not pattern:
                    raise http_error(500)
                self._set_source("pattern")
                self.joined = False
                # A consumer that has a pattern already does not look for what the next one matches.
                consumer.unsubscribe()
                consumer.subscribe(pattern=whole, listener=_Joined(self))
                compat.load_topics(consumer)

    def _subscribe_to_topics(self, consumer: KafkaConsumer, topics: list[str | None]) -> None:
        if not topics:
            self._clear(consumer)
            return
        names = [topic for topic in topics if topic and topic.strip()]
        if len(names) < len(topics):
            raise http_error(500)
        self._set_source("topics")
        self.illegal = [name for name in names if not is_legal(name)]
        legal = [name for name in names if is_legal(name)]
        self.joined = not legal
        if legal:
            consumer.subscribe(topics=legal, listener=_Joined(self))
            compat.load_topics(consumer)
        else:
            consumer.unsubscribe()

    def subscription(self) -> dict[str, list[str]]:
        """The names of the subscribed topics."""
        with self.use() as consumer:
            return {"topics": sorted({*(consumer.subscription() or ()), *self.illegal})}

    def unsubscribe(self) -> None:
        """Give up all topics."""
        with self.use() as consumer:
            self._clear(consumer)

    def assign(self, entries: Entries) -> None:
        """Read these partitions, outside the group; an empty list gives up those that the instance has."""
        wanted = [_partition(entry) for entry in entries]
        if not all(partition.topic.strip() for partition in wanted):
            raise http_error(500)
        with self.use() as consumer:
            if not wanted:
                self._clear(consumer)
                return
            self._set_source("partitions")
            self.illegal = [partition.topic for partition in wanted if not is_legal(partition.topic)]
            consumer.assign([partition for partition in wanted if partition.topic not in self.illegal])
            self.joined = True

    def assignment(self) -> dict[str, Any]:
        """The partitions that the instance has, assigned by its client or by its group."""
        with self.use() as consumer:
            return {"partitions": [partition._asdict() for partition in sorted(consumer.assignment())]}

    def seek(self, entries: Entries) -> None:
        """Continue reading at these offsets."""
        with self.use() as consumer:
            for entry in entries:
                topic, number, offset, _ = not_null(entry)
                partition = TopicPartition(topic, not_null(number))
                if not_null(offset) < 0:
                    raise http_error(500)
                _check_assigned(consumer, [partition])
                consumer.seek(partition, offset)

    def seek_to_beginning(self, entries: Entries) -> None:
        """Continue reading at the first record of these partitions, of all assigned ones if the list is empty."""
        self._seek_to_edge(entries, KafkaConsumer.seek_to_beginning)

    def seek_to_end(self, entries: Entries) -> None:
        """Continue reading behind the last record of these partitions, of all assigned ones if the list is empty."""
        self._seek_to_edge(entries, KafkaConsumer.seek_to_end)

    def _seek_to_edge(self, entries: Entries, seek: Callable[..., None]) -> None:
        wanted = [_partition(entry) for entry in entries]
        with self.use() as consumer:
            _check_assigned(consumer, wanted)
            if wanted or consumer.assignment():
                seek(consumer, *wanted)

    def commit(self, entries: Entries | None) -> list[Any]:
        """Commit the offsets of these records, or all that was fetched without a body.

        The client names the offset of a processed record; Kafka stores the next one, as the real proxy does.
        """
        offsets = {}
        for entry in entries or ():
            topic, number, offset, metadata = not_null(entry)
            if not_null(offset) < -1:
                raise http_error(500)
            offsets[_partition((topic, number))] = OffsetAndMetadata(offset + 1, metadata or "", -1)
        with self.use() as consumer:
            consumer.commit(None if entries is None else offsets, timeout_ms=_COMMIT_MS)
        return []

    def committed(self, entries: Entries) -> dict[str, Any]:
        """What the group has committed for these partitions; skips partitions without a commit."""
        wanted = [_partition(entry) for entry in entries]
        with self.use() as consumer:
            found = [(p, consumer.committed(p, metadata=True, timeout_ms=_COMMIT_MS)) for p in wanted]
        return {
            "offsets": [
                {**partition._asdict(), "offset": at.offset, "metadata": at.metadata or ""}
                for partition, at in found
                if at is not None
            ]
        }

    def _set_source(self, source: str) -> None:
        """Choose partitions in this way; raises 409 if the instance chooses them in another."""
        if self.source not in (None, source):
            raise illegal_state("Subscription to topics, partitions and pattern are mutually exclusive")
        self.source = source

    def _clear(self, consumer: KafkaConsumer) -> None:
        """Give up all partitions."""
        consumer.unsubscribe()
        self.source, self.illegal = None, []


class Instances:
    """The consumer instances of this proxy, by group and name."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._lock = threading.Lock()
        self._instances: dict[tuple[str, str], Instance] = {}

    def create(self, group: str, wanted: NewInstance) -> str:
        """Create an instance; its name. Raises 409/40902 if that name is taken, 422/42204 for a bad setting."""
        options: dict[str, Any] = {"group_id": group}
        if wanted.offset_reset is not None:
            options["auto_offset_reset"] = _offset_reset(wanted.offset_reset)
        if wanted.auto_commit is not None:
            options["enable_auto_commit"] = _auto_commit(wanted.auto_commit)
        name = wanted.name if wanted.name is not None else f"rest-consumer-{uuid.uuid4()}"
        instance = Instance(
            name,
            wanted.format,
            lambda: self._cluster.consumer(**options),
            self._settings.request_timeout_ms if wanted.timeout_ms is None else wanted.timeout_ms,
            self._settings.request_max_bytes,
            -1 if wanted.min_bytes is None else wanted.min_bytes,
        )
        with self._lock:
            if (group, name) in self._instances:
                message = "Consumer with specified consumer ID already exists in the specified consumer group."
                raise RestError(409, 40902, message)
            self._instances[group, name] = instance
        if not name.strip():
            # The real one refuses its own answer, after it has created the instance.
            raise unprocessable("instance_id must not be blank")
        return name

    def get(self, group: str, name: str) -> Instance:
        """An instance; raises 404/40403 if it does not exist or has expired."""
        with self._lock:
            instance = self._instances.get((group, name))
        if instance is None:
            raise instance_not_found()
        instance.last_used = time.monotonic()
        return instance

    def delete(self, group: str, name: str) -> None:
        """Close an instance; raises 404/40403 if it does not exist."""
        with self._lock:
            instance = self._instances.pop((group, name), None)
        if instance is None:
            raise instance_not_found()
        instance.close()

    def close_idle(self, seconds: float) -> None:
        """Close, side by side, the instances that have not been used for so many seconds."""
        limit = time.monotonic() - seconds
        with self._lock:
            keys = [key for key, found in self._instances.items() if found.last_used <= limit]
            idle = [self._instances.pop(key) for key in keys]
        if idle:
            with ThreadPoolExecutor(min(32, len(idle)), thread_name_prefix="close") as pool:
                list(pool.map(Instance.close, idle))


def _offset_reset(text: str) -> str:
    if text.strip() not in _RESETS:
        message = f"Invalid value {text} for configuration auto.offset.reset: String must be one of: "
        raise invalid_consumer_config(message + ", ".join(_RESETS))
    return text.strip()


def _auto_commit(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        expected = "Expected value to be either true or false"
        raise invalid_consumer_config(f"Invalid value {text} for configuration enable.auto.commit: {expected}")
    return text.strip().lower() == "true"


def _check_assigned(consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
    for partition in partitions:
        if partition not in consumer.assignment():
            raise illegal_state(f"No current assignment for partition {partition.topic}-{partition.partition}")


def _partition(entry: Any) -> TopicPartition:
    topic, partition = not_null(entry)
    return TopicPartition(not_null(topic), not_null(partition))


def _entry(record: Any, embedded: str) -> bytes:
    """A record as JSON; raises 408/40801 if it is not of the format."""
    try:
        key, value = (_external(data, embedded) for data in (record.key, record.value))
    except RestError as error:
        where = f"{record.topic} partition {record.partition} offset {record.offset}"
        raise RestError(408, 40801, f"{where} is not {embedded}: {error.message}") from None
    values = documents.dump(record.topic), key, value, record.partition, record.offset
    return b'{"topic":%b,"key":%b,"value":%b,"partition":%d,"offset":%d}' % values


def _external(data: bytes | None, embedded: str) -> bytes:
    if data is None:
        return b"null"
    if embedded == "binary":
        return b'"%b"' % base64.b64encode(data)
    if embedded == "json":
        return documents.limited(documents.parse(data), 0)
    raise malformed("Unknown magic byte!")


def _json_list(entries: list[bytes]) -> bytes:
    return b"[" + b",".join(entries) + b"]"
