"""The dead-letter topic: records that could not be written, with the reason in their headers."""

from __future__ import annotations

import logging
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from services.connect.compat import connect
from services.connect.config import SinkConfig
from services.connect.config_topic import create_topic
from services.connect.errors import TaskError

log = logging.getLogger(__name__)

_SERIALIZATION = "org.apache.kafka.common.errors.SerializationException"
# Room for a record of the largest default size (1 MiB) together with its headers.
MAX_MESSAGE_BYTES = 2 * 1024 * 1024


def create_dead_letter_topic(config: SinkConfig, bootstrap_servers: str) -> None:
    """Create the dead-letter topic unless it exists, as the real worker does when a task starts."""
    if config.dead_letter_topic is not None:
        limit = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        with connect(KafkaAdminClient, bootstrap_servers) as admin:
            settings = {"replication_factor": config.dead_letter_replication, "configs": limit}
            create_topic(admin, config.dead_letter_topic, settings)


def context(
    config: SinkConfig, task: int, record: ConsumerRecord, reason: str, cause: str, stage: str
) -> list[tuple[str, bytes]]:
    """The headers that the real worker adds (`errors.deadletterqueue.context.headers.enable`); stage as it names it."""
    converting = stage == "VALUE_CONVERTER"
    exception = "org.apache.kafka.connect.errors.DataException"
    texts = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "connector.name": config.name,
        "task.id": str(task),
        "stage": stage,
        "class.name": "org.apache.kafka.connect." + ("json.JsonConverter" if converting else "sink.SinkTask"),
        "exception.class.name": exception,
        "exception.message": reason,
        "exception.stacktrace": f"{exception}: {reason}\n" + (f"Caused by: {cause}\n" if cause else ""),
    }
    return [(f"__connect.errors.{name}", text.encode()) for name, text in texts.items()]


class DeadLetters:
    """Handles a record that a task cannot write: fails, logs, or sends it to the dead-letter topic."""

    def __init__(self, config: SinkConfig, task: int, bootstrap_servers: str) -> None:
        self._config = config
        self._task = task
        self._bootstrap_servers = bootstrap_servers
        self._producer: KafkaProducer | None = None
        self._sent: list[Any] = []

    def bad_value(self, record: ConsumerRecord, problem: str) -> None:
        """A value that is not JSON. Raises TaskError unless errors.tolerance is `all`."""
        reason = "Converting byte[] to Kafka Connect data failed due to serialization error: "
        where = f"topic {record.topic}, partition {record.partition}, offset {record.offset}"
        if self._config.log_errors:
            text = f": {record.value!r:.1000}" if self._config.log_messages else ""
            about = f"{where}, {reason}{problem}{text}"
            log.error("Error encountered in task %s-%s: %s", self._config.name, self._task, about)
        # Also where it fails the task: each task that gets the partition next sends it once more.
        self._send(record, reason, f"{_SERIALIZATION}: {problem}", "VALUE_CONVERTER")
        if not self._config.tolerate_errors:
            self.flush()
            cause = f"org.apache.kafka.connect.errors.DataException: {reason}{problem} ({where})"
            raise TaskError("Tolerance exceeded in error handler", cause=cause)

    def null_value(self, record: ConsumerRecord) -> None:
        """A value that is null. Raises TaskError unless behavior.on.null.values is `ignore`."""
        if not self._config.ignore_nulls:
            raise TaskError.in_put(
                "Null valued records are not writeable with current behavior.on.null.values 'settings. "
                f"(topic {record.topic}, partition {record.partition}, offset {record.offset})"
            )
        if self._config.tolerate_errors and self._config.report_nulls:
            self._send(record, "Skipping null value record.", "", "TASK_PUT")

    def _send(self, record: ConsumerRecord, reason: str, cause: str, stage: str) -> None:
        topic = self._config.dead_letter_topic
        if topic is None:
            return
        if self._producer is None:
            self._producer = connect(
                KafkaProducer, self._bootstrap_servers, acks="all", max_request_size=MAX_MESSAGE_BYTES
            )
        headers = list(record.headers)
        if self._config.dead_letter_headers:
            headers += context(self._config, self._task, record, reason, cause, stage)
        timestamp = record.timestamp if record.timestamp >= 0 else None
        # The client refuses to send neither key nor value, which Kafka itself allows.
        value = b"" if record.value is None and record.key is None else record.value
        self._sent.append(self._producer.send(topic, value, record.key, headers, timestamp_ms=timestamp))
        if len(self._sent) >= 1000:
            self.flush()

    def flush(self) -> None:
        """Wait until all dead letters are in Kafka: only then may commits or objects cover their offsets.

        Raises KafkaError if one could not be delivered; it is sent again when the partitions are read again.
        """
        if not self._sent or self._producer is None:
            return
        sent, self._sent = self._sent, []
        self._producer.flush(timeout=30)
        for future in sent:
            if not future.is_done:
                raise KafkaError("dead letters are not acknowledged within 30 s")
            if future.exception:
                raise future.exception

    def close(self) -> None:
        """Close the producer; drops undelivered letters, whose offsets are not committed."""
        if self._producer is not None:
            self._producer.close(timeout=1)
