"""Consumer instances: Kafka consumers that live between the requests of one HTTP client.

They behave as the real one's do, traps included: what was fetched and not given yet stays in the instance, so neither
`positions` nor a new subscription takes it back, and a record that cannot be read stops the instance for good.
"""

from __future__ import annotations

import base64
import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import IllegalStateError, KafkaConfigurationError, KafkaError
from kafka.structs import OffsetAndMetadata

from services.rest_proxy import binding, documents
from services.rest_proxy.binding import unboxed
from services.rest_proxy.cluster import Cluster, is_legal
from services.rest_proxy.errors import (
    RestError,
    http_error,
    illegal_state,
    instance_not_found,
    invalid_consumer_config,
    kafka_failure,
    malformed,
    not_deserialized,
    partition_not_found,
    unprocessable,
)
from services.rest_proxy.settings import Settings

KINDS = {"binary": "binary", "json": "json", "avro": "schema", "jsonschema": "schema", "protobuf": "schema"}
"""The formats of an instance, and the kind of read that fits."""

_MOST_MIN_BYTES = 10_000_000
_RESETS = ("latest", "earliest", "none")
# As many as one fetch of the real one's consumers gives.
_RECORDS_A_POLL = 30
# How long one fetch may hold an instance, and how long other requests then have their chance.
_POLL_MS = 50
_PAUSE_SECONDS = 0.005
# The first read after a subscription waits for the group, as the real one's does.
_JOIN_SECONDS = 10.0
_COMMIT_MS = 10_000

Place = tuple[str | None, int | None]
"""A topic and a partition as a request names them."""

PlaceAndOffset = tuple[Place, int | None, str | None]
"""A place, an offset there, and the commit's metadata."""


@dataclass(frozen=True)
class Wanted:
    """What a request to make an instance asks for; null where it says nothing."""

    name: str | None = None
    format: str = "binary"
    offset_reset: str | None = None
    auto_commit: str | None = None
    min_bytes: int | None = None
    timeout_ms: int | None = None


@dataclass(frozen=True)
class Subscription:
    """What a request subscribes to."""

    topics: list[str | None] | None
    pattern: str | None


@dataclass
class Instance:
    """One consumer, connected when it is first used. It is for one thread at a time, so each use holds `lock`.

    source       how its partitions are chosen: "topics", "pattern", "partitions" (by hand), or null
    joined       whether the group has dealt partitions since the subscription
    illegal      names among its topics that no topic can have
    fetched      records that no read has given yet
    """

    name: str
    format: str
    connect: Callable[[], KafkaConsumer]
    request_timeout_ms: int
    request_max_bytes: int
    response_min_bytes: int
    last_used: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    consumer: KafkaConsumer | None = None
    source: str | None = None
    joined: bool = False
    illegal: list[str] = field(default_factory=list)
    fetched: deque[Any] = field(default_factory=deque)
    closed: bool = False

    @contextmanager
    def use(self) -> Iterator[KafkaConsumer]:
        """The consumer, for this thread alone; failures of Kafka's come out as what the API answers."""
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

    def choose(self, source: str) -> None:
        """Take partitions in this way; raises 409 if the instance takes them in another."""
        if self.source not in (None, source):
            raise illegal_state("Subscription to topics, partitions and pattern are mutually exclusive")
        self.source = source

    def give_up(self, consumer: KafkaConsumer) -> None:
        """Take no partitions any more."""
        consumer.unsubscribe()
        self.source, self.illegal = None, []

    def fetch(self, consumer: KafkaConsumer, wait_ms: int) -> bool:
        """Ask the consumer for more records; whether there are any. With no wait it gives what it has at hand."""
        until = time.monotonic() + _JOIN_SECONDS
        while True:
            polled = consumer.poll(timeout_ms=wait_ms, max_records=_RECORDS_A_POLL)
            for records in polled.values():
                self.fetched.extend(records)
            if self.joined or self.fetched or not wait_ms or time.monotonic() >= until:
                return bool(self.fetched)

    def close(self) -> None:
        """Leave the group, committing what was read if the instance commits by itself."""
        with self.lock:
            self.closed = True
            if self.consumer is not None:
                # The group notices a member that could not say goodbye by its session timeout.
                with suppress(KafkaError):
                    self.consumer.close(timeout_ms=5000)


class _Joined(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def on_partitions_revoked(self, revoked: Any) -> None:
        pass

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._instance.joined = True


class Instances:
    """The consumer instances of this proxy, by group and name."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._lock = threading.Lock()
        self._instances: dict[tuple[str, str], Instance] = {}

    def create(self, group: str, wanted: Wanted) -> str:
        """Make an instance and give its name; raises 409/40902 if that name is taken, 422/42204 for a bad setting."""
        options: dict[str, Any] = {"group_id": group}
        if wanted.offset_reset is not None:
            options["auto_offset_reset"] = _offset_reset(wanted.offset_reset)
        if wanted.auto_commit is not None:
            options["enable_auto_commit"] = _auto_commit(wanted.auto_commit)
        name = wanted.name if wanted.name is not None else f"rest-consumer-{uuid.uuid4()}"
        settings = self._settings
        made = Instance(
            name,
            wanted.format,
            lambda: self._cluster.consumer(**options),
            settings.request_timeout_ms if wanted.timeout_ms is None else wanted.timeout_ms,
            settings.request_max_bytes,
            -1 if wanted.min_bytes is None else wanted.min_bytes,
            time.monotonic(),
        )
        with self._lock:
            if (group, name) in self._instances:
                message = "Consumer with specified consumer ID already exists in the specified consumer group."
                raise RestError(409, 40902, message)
            self._instances[group, name] = made
        if not name.strip():
            # The real one refuses its own answer, and has made the instance by then.
            raise unprocessable("instance_id must not be blank")
        return name

    def get(self, group: str, name: str) -> Instance:
        """An instance; raises 404/40403 if there is none (any more)."""
        with self._lock:
            instance = self._instances.get((group, name))
        if instance is None:
            raise instance_not_found()
        instance.last_used = time.monotonic()
        return instance

    def delete(self, group: str, name: str) -> None:
        """Close an instance; raises 404/40403 if there is none."""
        with self._lock:
            instance = self._instances.pop((group, name), None)
        if instance is None:
            raise instance_not_found()
        instance.close()

    def close_idle(self, seconds: float) -> None:
        """Close the instances that have not been used for so many seconds."""
        limit = time.monotonic() - seconds
        with self._lock:
            idle = [key for key, found in self._instances.items() if found.last_used <= limit]
        for group, name in idle:
            with suppress(RestError):
                self.delete(group, name)


def wanted(document: Any) -> Wanted:
    """The body of POST /consumers/{group}; raises 400 for an unknown format and fetch.min.bytes out of range."""
    if document is None:
        return Wanted()
    waits, bytes_ = ("consumer.request.timeout.ms", "requestWaitMs"), ("fetch.min.bytes", "responseMinBytes")
    known = ("id", "name", "format", "auto.offset.reset", "auto.commit.enable", *bytes_, *waits)
    given = binding.fields(document, *known)
    texts = {name: binding.text(given.get(name)) for name in known[:5]}
    # Two names of one field: the last one given counts.
    numbers: dict[str, int | None] = {}
    for name, value in given.items():
        if name in waits + bytes_:
            numbers[waits[0] if name in waits else bytes_[0]] = binding.whole(value, 32)
    embedded = (texts["format"] if texts["format"] is not None else "binary").lower()
    if embedded not in KINDS:
        raise malformed("Invalid format type.")
    min_bytes = numbers.get("fetch.min.bytes")
    if min_bytes is not None and not -1 <= min_bytes <= _MOST_MIN_BYTES:
        raise malformed(f"fetch.min.bytes must be from -1 to {_MOST_MIN_BYTES}")
    return Wanted(
        texts["id"] if texts["id"] is not None else texts["name"],
        embedded,
        texts["auto.offset.reset"],
        texts["auto.commit.enable"],
        min_bytes,
        numbers.get("consumer.request.timeout.ms"),
    )


def _offset_reset(text: str) -> str:
    if text.strip() not in _RESETS:
        message = f"Invalid value {text} for configuration auto.offset.reset: String must be one of: "
        raise invalid_consumer_config(message + ", ".join(_RESETS))
    return text.strip()


def _auto_commit(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        message = (
            f"Invalid value {text} for configuration enable.auto.commit: Expected value to be either true or false"
        )
        raise invalid_consumer_config(message)
    return text.strip().lower() == "true"


def read(instance: Instance, timeout_ms: int, max_bytes: int) -> bytes:
    """The next records of an instance as the answer's body: a JSON list.

    Collects for the smaller of `timeout_ms` and the instance's own limit (that one alone if it is 0 or less) and then
    what is at hand, or until there are more than the instance's `fetch.min.bytes`, or until the next record would reach
    `max_bytes` of keys and values, so that nothing is given if a single record does. Raises 500 before a subscription,
    400/40002 for an illegal topic, and 408/40801 at a record that is not of the instance's format: what was collected
    before it is lost, and the next read fails again.
    """
    timeout = instance.request_timeout_ms if timeout_ms <= 0 else min(timeout_ms, instance.request_timeout_ms)
    limit = instance.request_max_bytes if max_bytes <= 0 else min(max_bytes, instance.request_max_bytes)
    deadline = time.monotonic() + timeout / 1000
    given: list[bytes] = []
    size = 0

    def wait_ms() -> int:
        return 0 if given and time.monotonic() >= deadline else _POLL_MS

    while True:
        with instance.use() as consumer:
            if instance.source is None:
                raise http_error(500)
            if instance.illegal:
                raise RestError(400, 40002, f"Invalid topics: [{', '.join(instance.illegal)}]")
            enough = False
            while instance.fetched or (not enough and instance.fetch(consumer, wait_ms())):
                record = instance.fetched[0]
                entry = _entry(record, instance.format)
                bytes_ = len(record.key or b"") + len(record.value or b"")
                if size + bytes_ >= limit:
                    return _list(given)
                given.append(entry)
                instance.fetched.popleft()
                size += bytes_
                enough = 0 <= instance.response_min_bytes < size
        if enough or time.monotonic() >= deadline:
            return _list(given)
        time.sleep(_PAUSE_SECONDS)


def subscription_wanted(document: Any) -> Subscription:
    """The body of POST …/subscription."""
    given = binding.fields(binding.required(document), "topics", "topic_pattern")
    return Subscription(binding.items(given.get("topics"), binding.text), binding.text(given.get("topic_pattern")))


def subscribe(instance: Instance, to: Subscription) -> None:
    """Subscribe to topics, else to a pattern, else to nothing new; replaces an earlier subscription of that kind."""
    with instance.use() as consumer:
        if to.topics is not None:
            _subscribe_to_topics(instance, consumer, to.topics)
        elif to.pattern is not None:
            try:
                # Java's pattern must match the whole name.
                pattern = f"(?:{to.pattern})\\Z"
                re.compile(pattern)
            except re.error:
                raise http_error(500) from None
            if not to.pattern:
                raise http_error(500)
            instance.choose("pattern")
            instance.joined = False
            # A consumer that has a pattern already does not look for what the next one matches.
            consumer.unsubscribe()
            consumer.subscribe(pattern=pattern, listener=_Joined(instance))
            _learn_topics(consumer)


def _subscribe_to_topics(instance: Instance, consumer: KafkaConsumer, topics: list[str | None]) -> None:
    if not topics:
        instance.give_up(consumer)
        return
    if not all(topic and topic.strip() for topic in topics):
        raise http_error(500)
    instance.choose("topics")
    names = [topic for topic in topics if topic is not None]
    instance.illegal = [name for name in names if not is_legal(name)]
    legal = [name for name in names if name not in instance.illegal]
    instance.joined = not legal
    if legal:
        consumer.subscribe(topics=legal, listener=_Joined(instance))
        _learn_topics(consumer)
    else:
        consumer.unsubscribe()


def _learn_topics(consumer: KafkaConsumer) -> None:
    """Let a consumer see its topics' partitions before it joins its group.

    Else kafka-python joins a second time when it sees them, and if a poll ends in the middle of that, it never notices
    that it has joined: it commits nothing any more.
    """
    consumer.topics()


def subscription(instance: Instance) -> dict[str, list[str]]:
    """The names of the topics that an instance is subscribed to."""
    with instance.use() as consumer:
        return {"topics": sorted({*(consumer.subscription() or ()), *instance.illegal})}


def unsubscribe(instance: Instance) -> None:
    """Give up all topics."""
    with instance.use() as consumer:
        instance.give_up(consumer)


def places(document: Any) -> list[Place] | None:
    """The body `{"partitions": [{"topic", "partition"}]}`; its list may be null."""

    def place(item: Any) -> Place:
        given = binding.fields(item, "topic", "partition")
        return binding.text(given.get("topic")), binding.whole(given.get("partition"), 32)

    return binding.items(binding.fields(document, "partitions").get("partitions"), lambda item: _or_null(place, item))


def required_places(document: Any) -> list[Place] | None:
    """The same where the call cannot do without a body."""
    return places(binding.required(document))


def places_to_look_up(document: Any) -> list[Place] | None:
    """The same for GET …/offsets, which is a GET with a body; raises 404/40402 without one."""
    if document is None:
        raise partition_not_found()
    return places(document)


def offsets(document: Any) -> list[PlaceAndOffset] | None:
    """The body `{"offsets": [{"topic", "partition", "offset", "metadata"}]}`; its list may be null."""

    def offset(item: Any) -> PlaceAndOffset:
        given = binding.fields(item, "topic", "partition", "offset", "metadata")
        place = binding.text(given.get("topic")), binding.whole(given.get("partition"), 32)
        return place, binding.whole(given.get("offset"), 64), binding.text(given.get("metadata"))

    return binding.items(binding.fields(document, "offsets").get("offsets"), lambda item: _or_null(offset, item))


def required_offsets(document: Any) -> list[PlaceAndOffset] | None:
    """The same where the call cannot do without a body."""
    return offsets(binding.required(document))


def offsets_to_commit(document: Any) -> tuple[list[PlaceAndOffset] | None] | None:
    """The same for POST …/offsets: null for no body, which is not an empty one."""
    return None if document is None else (offsets(document),)


def _or_null(bind: Callable[[Any], Any], item: Any) -> Any:
    return None if item is None else bind(item)


def assign(instance: Instance, partitions: list[Place] | None) -> None:
    """Take partitions by hand; none gives up those that the instance has."""
    wanted = [_partition(place) for place in unboxed(partitions)]
    if not all(partition.topic.strip() for partition in wanted):
        raise http_error(500)
    with instance.use() as consumer:
        if not wanted:
            instance.give_up(consumer)
            return
        instance.choose("partitions")
        instance.illegal = [partition.topic for partition in wanted if not is_legal(partition.topic)]
        consumer.assign([partition for partition in wanted if partition.topic not in instance.illegal])
        instance.joined = True


def assignment(instance: Instance) -> dict[str, Any]:
    """The partitions that an instance has, by hand or from its group."""
    with instance.use() as consumer:
        return {"partitions": [_named(partition) for partition in sorted(consumer.assignment())]}


def seek(instance: Instance, positions: list[PlaceAndOffset] | None) -> None:
    """Go on fetching at these offsets."""
    with instance.use() as consumer:
        for position in unboxed(positions):
            place, offset, _ = unboxed(position)
            partition = TopicPartition(place[0], unboxed(place[1]))
            if unboxed(offset) < 0:
                raise http_error(500)
            _check_assigned(consumer, [partition])
            consumer.seek(partition, offset)


def seek_to_beginning(instance: Instance, partitions: list[Place] | None) -> None:
    """Go on fetching at the first record of each of these partitions, of all that it has if there are none."""
    _seek_to_edge(instance, partitions, KafkaConsumer.seek_to_beginning)


def seek_to_end(instance: Instance, partitions: list[Place] | None) -> None:
    """Go on fetching behind the last record of each of these partitions, of all if there are none."""
    _seek_to_edge(instance, partitions, KafkaConsumer.seek_to_end)


def _seek_to_edge(instance: Instance, partitions: list[Place] | None, seek: Callable[..., None]) -> None:
    wanted = [_partition(place) for place in unboxed(partitions)]
    with instance.use() as consumer:
        _check_assigned(consumer, wanted)
        if wanted or consumer.assignment():
            seek(consumer, *wanted)


def _check_assigned(consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
    for partition in partitions:
        if partition not in consumer.assignment():
            raise illegal_state(f"No current assignment for partition {partition.topic}-{partition.partition}")


def commit(instance: Instance, given: tuple[list[PlaceAndOffset] | None] | None) -> list[Any]:
    """Commit the offsets of the given records, or without a document all that was fetched.

    What is given is the offset of a record that was dealt with; Kafka stores the next one, as the real proxy does.
    """
    records = None
    if given is not None:
        records = {}
        for entry in unboxed(given[0]):
            place, offset, metadata = unboxed(entry)
            if unboxed(offset) < -1:
                raise http_error(500)
            records[_partition(place)] = OffsetAndMetadata(unboxed(offset) + 1, metadata or "", -1)
    with instance.use() as consumer:
        consumer.commit(records, timeout_ms=_COMMIT_MS)
    return []


def committed(instance: Instance, partitions: list[Place] | None) -> dict[str, Any]:
    """What the group has committed for each of the given partitions; partitions without a commit are left out."""
    wanted = [_partition(place) for place in unboxed(partitions)]
    with instance.use() as consumer:
        found = [(p, consumer.committed(p, metadata=True, timeout_ms=_COMMIT_MS)) for p in wanted]
    return {
        "offsets": [
            {**_named(partition), "offset": at.offset, "metadata": at.metadata or ""}
            for partition, at in found
            if at is not None
        ]
    }


def _partition(place: Place | None) -> TopicPartition:
    topic, partition = unboxed(place)
    return TopicPartition(unboxed(topic), unboxed(partition))


def _named(partition: TopicPartition) -> dict[str, Any]:
    return {"topic": partition.topic, "partition": partition.partition}


def _entry(record: Any, embedded: str) -> bytes:
    try:
        key, value = (_external(data, embedded) for data in (record.key, record.value))
    except RestError as error:
        where = f"{record.topic} partition {record.partition} offset {record.offset}"
        raise not_deserialized(f"{where} is not {embedded}: {error.message}") from None
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
    if embedded == "binary":
        return b'"%b"' % base64.b64encode(data)
    if embedded == "json":
        return documents.limited(documents.parse(data), 0)
    raise malformed("Unknown magic byte!")


def _list(entries: list[bytes]) -> bytes:
    return b"[" + b",".join(entries) + b"]"
