"""The stand-in's Kafka clients: created when they are first needed, and replaced after a failure."""

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

from services.rest_proxy import compat
from services.rest_proxy.batches import Writer
from services.rest_proxy.settings import Settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# How long the list of topics is good enough for a topic that is not on it.
_LIST_SECONDS = 0.1

_LEGAL_NAME = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


class Cluster:
    """One producer and one admin client, shared by all requests and threads; one consumer an instance.

    `max_block` and `delivery_timeout` are in seconds: how long a record waits for its topic and partition, and within
    which time the producer settles each record.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._options = {**settings.producer, "enable_idempotence": False, "metrics_enabled": False}
        if settings.producer.get("enable_idempotence"):
            # The real one logs this and ignores the setting, too.
            log.warning("Idempotent producers are not supported in Kafka REST. Ignoring 'enable.idempotence'.")
        options = {**KafkaProducer.DEFAULT_CONFIG, **self._options}
        self.max_block = options["max_block_ms"] / 1000
        self.delivery_timeout = options["delivery_timeout_ms"] / 1000
        self._creating = threading.Lock()
        self._writer: Writer | None = None
        self._admin: KafkaAdminClient | None = None
        self._topics: frozenset[str] = frozenset()
        self._listing = threading.Lock()
        self._listed = 0.0

    def writer(self) -> Writer:
        """The producer; raises KafkaError if there is none yet and no broker answers."""
        with self._created_within_max_block():
            if self._writer is None:
                self._writer = Writer(self._create(KafkaProducer, self._options))
            return self._writer

    def partitions(self, topic: str) -> Collection[int]:
        """The numbers of a topic's partitions; empty if there is no such topic, or no broker answers."""
        try:
            if topic not in self._topics and not self._find(topic):
                return ()
            found: set[int] = self.writer().producer.partitions_for(topic)
            return found
        except KafkaError:
            self._topics -= {topic}
            return ()

    def _find(self, topic: str) -> bool:
        """Whether a topic exists. One request at a time lists the topics; the others use its result.

        The producer itself would ask for a mistyped name ten times a second, for ever.
        """
        if self._listing.acquire(blocking=False):
            try:
                if time.monotonic() - self._listed > _LIST_SECONDS:
                    self._topics = frozenset(self.ask(lambda admin: admin.list_topics(), timeout=0))
                    self._listed = time.monotonic()
            finally:
                self._listing.release()
        return topic in self._topics

    def ask(self, question: Callable[[KafkaAdminClient], Answer], timeout: float = 2.0) -> Answer:
        """The admin client's answer; retries retriable errors for `timeout` seconds, then raises the last KafkaError.

        A retry also replaces a connection that a broker's restart has cut: the client notices only when it uses it.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                with self._created_within_max_block():
                    if self._admin is None:
                        options = {"request_timeout_ms": 10_000, "reconnect_backoff_max_ms": 1000}
                        self._admin = self._create(KafkaAdminClient, options)
                return question(self._admin)
            except KafkaError as error:
                if not isinstance(error, RetriableError) or time.monotonic() >= deadline:
                    raise
            time.sleep(0.1)

    def replace_writer(self, failed: Writer) -> None:
        """Abort a producer that did not settle a record in time: it must not write later what it still holds."""
        with self._creating:
            if self._writer is not failed:
                return
            self._writer = None
        log.warning("replacing the producer: it did not settle a record in time")
        compat.abort(failed.producer)

    def consumer(self, **options: Any) -> KafkaConsumer:
        """A new consumer for one instance; raises KafkaError if no broker answers."""
        return self._create(KafkaConsumer, {**self._settings.consumer, **options})

    def close(self) -> None:
        """Close the clients; the requests are answered by now, so nothing is left to be sent."""
        if self._writer is not None:
            compat.abort(self._writer.producer)
        if self._admin is not None:
            self._admin.close()

    def _create(self, client: Callable[..., Any], options: dict[str, Any]) -> Any:
        # A client whose constructor fails leaves its network thread behind, so see first whether a broker answers.
        servers = self._settings.bootstrap_servers
        if not any(_answers(server) for server in servers):
            raise KafkaConnectionError(f"no broker answers at {', '.join(servers)}")
        timeout = int(self.max_block * 1000)
        return client(**{"bootstrap_servers": servers, "bootstrap_timeout_ms": timeout, **options})

    @contextmanager
    def _created_within_max_block(self) -> Iterator[None]:
        """Hold the lock of the clients; wait for it no longer than a request may wait for its broker."""
        if not self._creating.acquire(timeout=self.max_block):
            raise KafkaTimeoutError(f"no broker answered within {self.max_block:g} s")
        try:
            yield
        finally:
            self._creating.release()


def is_legal(topic: str) -> bool:
    """Whether a topic can have that name."""
    return _LEGAL_NAME.fullmatch(topic) is not None


def _answers(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (OSError, ValueError):
        return False
    return True
