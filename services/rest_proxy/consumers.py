"""The calls on a consumer instance: what to read, the records, where to go on.

As on the real one a record that cannot be read stops the instance for good.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from services.rest_proxy import binding, documents
from services.rest_proxy.binding import unboxed
from services.rest_proxy.cluster import is_legal
from services.rest_proxy.errors import (
    RestError,
    http_error,
    illegal_state,
    malformed,
    not_deserialized,
    partition_not_found,
)
from services.rest_proxy.instances import Instance

# How long one fetch may hold an instance, and how long other requests then have their chance.
_POLL_MS = 50
_PAUSE_SECONDS = 0.005
_COMMIT_MS = 10_000

Place = tuple[str | None, int | None]
"""A topic and a partition as a request names them."""

PlaceAndOffset = tuple[Place, int | None, str | None]
"""A place, an offset there, and the commit's metadata."""


@dataclass(frozen=True)
class Subscription:
    """What a request subscribes to."""

    topics: list[str | None] | None
    pattern: str | None


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


class _Joined(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def on_partitions_revoked(self, revoked: Any) -> None:
        pass

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._instance.joined = True


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
