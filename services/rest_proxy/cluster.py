"""The Kafka clients of the stand-in: made when they are first needed, and made anew when they have failed."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, RetriableError
from kafka.serializer import Serializer

from services.rest_proxy.settings import Settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# kafka-python refuses a record whose key and value are both null before it looks at the serialized value.
NULL = object()

_NEW_TOPIC_SECONDS = 1.0


class Cluster:
    """One producer and one admin client for all requests (both may be shared by threads); a consumer an instance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._patience = settings.producer.get("max_block_ms", KafkaProducer.DEFAULT_CONFIG["max_block_ms"]) / 1000
        self._making = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._admin: KafkaAdminClient | None = None
        self._topics: set[str] = set()

    @property
    def delivery_timeout(self) -> float:
        """Seconds within which the producer settles each record, one way or the other."""
        options = {**KafkaProducer.DEFAULT_CONFIG, **self._settings.producer}
        return float(options["delivery_timeout_ms"]) / 1000

    def producer(self) -> KafkaProducer:
        """The producer; raises KafkaError if there is none yet and no broker answers."""
        with _within(self._patience, self._making):
            if self._producer is None:
                self._producer = self._make(KafkaProducer, self._settings.producer, value_serializer=_Null())
            return self._producer

    def has_topic(self, name: str) -> bool:
        """Whether a topic exists: asked of the broker until it is first seen; a topic that is new gets a second.

        Without this a mistyped name would stay in the producer, which asks for it ten times a second for ever.
        """
        deadline = time.monotonic() + _NEW_TOPIC_SECONDS
        while name not in self._topics:
            self._topics = set(self.ask(lambda admin: admin.list_topics(), self._patience))
            if name not in self._topics:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.1)
        return True

    def ask(self, question: Callable[[KafkaAdminClient], Answer], patience: float = 2.0) -> Answer:
        """The admin client's answer; a broker that is away may come back for `patience` seconds.

        Raises KafkaError with the last failure. Also for the connection that a broker's restart has cut: the client
        notices only when it is used.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                return question(self._get_admin())
            except KafkaError as error:
                if not isinstance(error, RetriableError) or time.monotonic() >= deadline:
                    raise
            time.sleep(0.1)

    def replace_producer(self, failed: KafkaProducer, grace: float) -> None:
        """Give up a producer that cannot go on (a fenced or lost producer id); what it still holds has `grace` seconds.

        The next request makes a new one, with a producer id of its own.
        """
        with self._making:
            if self._producer is not failed:
                return
            self._producer = None
        log.warning("the producer is replaced by a new one")
        threading.Thread(target=_close, args=(failed, grace), daemon=True).start()

    def consumer(self, **options: Any) -> KafkaConsumer:
        """A consumer of its own for one instance; raises KafkaError if no broker answers."""
        return self._make(KafkaConsumer, self._settings.consumer, **options)

    def close(self) -> None:
        """Leave the cluster; the requests are answered by now, so nothing is left to be sent."""
        if self._producer is not None:
            _close(self._producer, grace=1)
        if self._admin is not None:
            self._admin.close()

    def _get_admin(self) -> KafkaAdminClient:
        with _within(self._patience, self._making):
            if self._admin is None:
                options = {"request_timeout_ms": 10_000, "reconnect_backoff_max_ms": 1000}
                self._admin = self._make(KafkaAdminClient, options)
            return self._admin

    def _make(self, client: Callable[..., Any], configured: Any, **options: Any) -> Any:
        # A client whose constructor fails leaves its network thread behind, so ask the door first.
        if not any(_open(server) for server in self._settings.bootstrap_servers):
            raise KafkaConnectionError(f"no broker answers at {', '.join(self._settings.bootstrap_servers)}")
        return client(
            bootstrap_servers=self._settings.bootstrap_servers,
            bootstrap_timeout_ms=int(self._patience * 1000),
            **{**configured, **options},
        )


class _Null(Serializer):  # type: ignore[misc]
    def serialize(self, topic: str, headers: Any, data: Any) -> bytes | None:
        return None if data is NULL else data


@contextmanager
def _within(seconds: float, lock: threading.Lock) -> Iterator[None]:
    """A lock that is waited for no longer than a request may wait for its broker."""
    if not lock.acquire(timeout=seconds):
        raise KafkaTimeoutError(f"no broker answered within {seconds:g} s")
    try:
        yield
    finally:
        lock.release()


def _open(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (OSError, ValueError):
        return False
    return True


def _close(producer: KafkaProducer, grace: float) -> None:
    try:
        producer.close(timeout=grace)
    except Exception as error:
        log.warning("a producer did not close well: %s", error)
