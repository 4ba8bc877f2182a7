"""Consumer instances: Kafka consumers that live between the requests of one HTTP client.

They behave as the real one's do, traps included: what was fetched and not given yet stays in the instance, so neither
`positions` nor a new subscription takes it back.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import IllegalStateError, KafkaConfigurationError, KafkaError

from services.rest_proxy import binding
from services.rest_proxy.cluster import Cluster
from services.rest_proxy.errors import (
    RestError,
    illegal_state,
    instance_not_found,
    invalid_consumer_config,
    kafka_failure,
    malformed,
    unprocessable,
)
from services.rest_proxy.settings import Settings

KINDS = {"binary": "binary", "json": "json", "avro": "schema", "jsonschema": "schema", "protobuf": "schema"}
"""The formats of an instance, and the kind of read that fits."""

_MOST_MIN_BYTES = 10_000_000
_RESETS = ("latest", "earliest", "none")
# As many as one fetch of the real one's consumers gives.
_RECORDS_A_POLL = 30
# The first read after a subscription waits for the group, as the real one's does.
_JOIN_SECONDS = 10.0


@dataclass(frozen=True)
class Wanted:
    """What a request to make an instance asks for; null where it says nothing."""

    name: str | None = None
    format: str = "binary"
    offset_reset: str | None = None
    auto_commit: str | None = None
    min_bytes: int | None = None
    timeout_ms: int | None = None


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
