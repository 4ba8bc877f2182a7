"""The Kafka clients of the stand-in: made when they are first needed, and made anew when they have failed."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, RetriableError

from services.rest_proxy.batches import Writer
from services.rest_proxy.settings import Settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# How long the list of topics is good enough for a topic that is not on it.
_LIST_SECONDS = 0.1

_LEGAL_NAME = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


class Cluster:
    """One producer and one admin client for all requests (both may be shared by threads); a consumer an instance."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._options = {**settings.producer, "enable_idempotence": False, "metrics_enabled": False}
        if settings.producer.get("enable_idempotence"):
            # In the words and the manner of the real one, which does not have them either.
            log.warning("Idempotent producers are not supported in Kafka REST. Ignoring 'enable.idempotence'.")
        self._making = threading.Lock()
        self._writer: Writer | None = None
        self._admin: KafkaAdminClient | None = None
        self._topics: frozenset[str] = frozenset()
        self._listing = threading.Lock()
        self._listed = 0.0

    @property
    def max_block(self) -> float:
        """Seconds that a record waits for its topic and partition."""
        return self._producer_option("max_block_ms")

    @property
    def delivery_timeout(self) -> float:
        """Seconds within which the producer settles each record, one way or the other."""
        return self._producer_option("delivery_timeout_ms")

    def writer(self) -> Writer:
        """The producer; raises KafkaError if there is none yet and no broker answers."""
        with _within(self.max_block, self._making):
            if self._writer is None:
                self._writer = Writer(self._make(KafkaProducer, self._options))
            return self._writer

    def partitions(self, topic: str) -> Collection[int]:
        """The numbers of a topic's partitions; none if there is no such topic, or no broker to tell."""
        try:
            if topic not in self._topics and not self._find(topic):
                return ()
            found: set[int] = self.writer().producer.partitions_for(topic)
            return found
        except KafkaError:
            self._topics -= {topic}
            return ()

    def _find(self, topic: str) -> bool:
        """Look whether a topic exists. One request looks at a time, the others take what it found last.

        The producer itself would go on asking for a mistyped name ten times a second for ever.
        """
        if self._listing.acquire(blocking=False):
            try:
                if time.monotonic() - self._listed > _LIST_SECONDS:
                    self._topics = frozenset(self.ask(lambda admin: admin.list_topics(), patience=0))
                    self._listed = time.monotonic()
            finally:
                self._listing.release()
        return topic in self._topics

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

    def give_up(self, failed: Writer) -> None:
        """Replace a producer that did not settle a record in time: what it still holds must not be written later on."""
        with self._making:
            if self._writer is not failed:
                return
            self._writer = None
        log.warning("the producer is replaced by a new one")
        failed.abort()

    def consumer(self, **options: Any) -> KafkaConsumer:
        """A consumer of its own for one instance; raises KafkaError if no broker answers."""
        return self._make(KafkaConsumer, self._settings.consumer, **options)

    def close(self) -> None:
        """Leave the cluster; the requests are answered by now, so nothing is left to be sent."""
        if self._writer is not None:
            self._writer.abort()
        if self._admin is not None:
            self._admin.close()

    def _get_admin(self) -> KafkaAdminClient:
        with _within(self.max_block, self._making):
            if self._admin is None:
                options = {"request_timeout_ms": 10_000, "reconnect_backoff_max_ms": 1000}
                self._admin = self._make(KafkaAdminClient, options)
            return self._admin

    def _producer_option(self, name: str) -> float:
        return float(self._settings.producer.get(name, KafkaProducer.DEFAULT_CONFIG[name])) / 1000

    def _make(self, client: Callable[..., Any], configured: Any, **options: Any) -> Any:
        # A client whose constructor fails leaves its network thread behind, so ask the door first.
        if not any(_open(server) for server in self._settings.bootstrap_servers):
            raise KafkaConnectionError(f"no broker answers at {', '.join(self._settings.bootstrap_servers)}")
        return client(
            bootstrap_servers=self._settings.bootstrap_servers,
            bootstrap_timeout_ms=int(self.max_block * 1000),
            **{**configured, **options},
        )


def is_legal(topic: str) -> bool:
    """Whether a topic can have that name."""
    return _LEGAL_NAME.fullmatch(topic) is not None


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
