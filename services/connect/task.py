"""One task of a sink connector: a thread that moves the records of its partitions from Kafka to S3.

Each record gets into exactly one object because the objects count (objects.py); the committed offset only says where
to look first.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    AuthorizationError,
    CorruptRecordError,
    InvalidReplicationFactorError,
    KafkaConfigurationError,
    KafkaError,
    LogTruncationError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    PolicyViolationError,
    UnsupportedCodecError,
)
from kafka.structs import OffsetAndMetadata

from services.connect.compat import connect
from services.connect.config import SinkConfig, next_rotation
from services.connect.dead_letters import DeadLetters, create_dead_letter_topic
from services.connect.errors import TaskError
from services.connect.objects import Bucket, PartitionObjects, Stopped
from services.connect.partition import PARALLEL_SINGLES, Partition
from services.connect.values import BadValue, line

log = logging.getLogger(__name__)

KAFKA_TIMEOUT_MS = 5000  # of one request to Kafka
# Errors that a retry does not help. All others can occur while a broker restarts, whatever the client's own `retriable`
# says, and must not end the task.
_FINAL = (
    AuthorizationError,
    CorruptRecordError,
    InvalidReplicationFactorError,
    KafkaConfigurationError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    UnsupportedCodecError,
)
STOP_SECONDS = 3.0  # for writing what is buffered when the task is stopped


@dataclass(frozen=True)
class Assignment:
    """A partition's topic id and the generation of the assignment.

    With every new ``generation`` all partitions are reopened, as the real sink's group is rebalanced.
    """

    topic_id: str
    generation: int


class Task(threading.Thread):
    """A task and its state as the REST API shows it: RUNNING, PAUSED, or FAILED with a trace; UNASSIGNED before.

    ``commit_seconds`` is the worker's offset.flush.interval.ms; ``failed`` is called when the task has failed. While
    ``paused`` the task reads nothing, and still writes what it has read before.
    """

    def __init__(
        self,
        config: SinkConfig,
        number: int,
        bootstrap_servers: str,
        commit_seconds: float,
        failed: Callable[[], None],
    ) -> None:
        super().__init__(name=f"{config.name}-{number}", daemon=True)
        self.number = number
        self._puts = threading.BoundedSemaphore(PARALLEL_SINGLES)
        self.state = "UNASSIGNED"
        self.trace: str | None = None
        self.topics: set[str] = set()
        self.paused = False
        self._failed = failed
        self._config = config
        self._bootstrap_servers = bootstrap_servers
        self._commit_seconds = commit_seconds
        self._stopping = threading.Event()
        self._abort = threading.Event()
        self._wanted: dict[TopicPartition, Assignment] = {}
        self._open: dict[TopicPartition, tuple[Assignment, Partition]] = {}

    def assign(self, partitions: Mapping[TopicPartition, str], generation: int) -> None:
        """Set the partitions to read, each with its topic's id; takes effect within half a second."""
        self._wanted = {tp: Assignment(topic_id, generation) for tp, topic_id in partitions.items()}

    def ask_to_stop(self) -> None:
        """Let the task write what it has buffered, commit and exit; `wait_stopped` waits for it."""
        self._stopping.set()

    def wait_stopped(self) -> None:
        """Wait until the task exits; after STOP_SECONDS the buffer is dropped, and read again at the next start."""
        self._stopping.set()
        self.join(STOP_SECONDS + 1)
        self._abort.set()
        self.join(5)

    def run(self) -> None:
        try:
            self._run()
        except Stopped:
            pass
        except TaskError as error:
            self._fail(error.trace)
        except Exception as error:  # whatever happened belongs in the status
            text = "".join(traceback.format_exception(error))
            self._fail(f"org.apache.kafka.connect.errors.ConnectException: {error or type(error).__name__}\n{text}")

    def _fail(self, trace: str) -> None:
        self.state, self.trace = "FAILED", trace
        log.error("%s: task is FAILED and will not recover until it is restarted: %s", self.name, trace)
        self._failed()

    def _run(self) -> None:
        self._zone = self._config.zone
        self._bucket = Bucket(self._config, self._abort)
        self._bucket.check()
        self._dead_letters = DeadLetters(self._config, self.number, self._bootstrap_servers)
        self._consumer = self._connect()
        try:
            self._loop()
            self._finish()
        finally:
            self._abort.set()
            for _, partition in self._open.values():
                partition.uploads.close(timeout=0)
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._dead_letters.close()

    def _connect(self) -> KafkaConsumer:
        """A consumer without group membership that stores offsets in the connector's group; waits for Kafka."""
        while not self._stopping.is_set():
            try:
                self._create_dead_letter_topic()
                return connect(
                    KafkaConsumer,
                    self._bootstrap_servers,
                    client_id=f"connector-consumer-{self.name}",
                    group_id=self._config.group,
                    enable_auto_commit=False,
                    auto_offset_reset="none",  # raise: a reset must be decided and logged by _position
                    reconnect_backoff_max_ms=1000,
                    metadata_max_age_ms=int(self._config.metadata_seconds * 1000),
                    **self._config.consumer,
                )
            except KafkaError as error:
                self._retry_or_fail(error, "cannot reach Kafka")
        raise Stopped

    def _create_dead_letter_topic(self) -> None:
        try:
            create_dead_letter_topic(self._config, self._bootstrap_servers)
        except _FINAL as error:
            topic = self._config.dead_letter_topic
            cause = f"org.apache.kafka.common.errors.{type(error).__name__.replace('Error', 'Exception')}: {error}"
            raise TaskError(f"Could not initialize dead letter queue with topic={topic}", cause=cause) from None

    def _loop(self) -> None:
        rotation = self._next_rotation()
        commit_at = time.monotonic()
        while not self._stopping.is_set():
            self.state = "PAUSED" if self.paused else "RUNNING"
            self._follow_assignment()
            self._read(rotation)
            if rotation is not None and time.time() >= rotation:
                self._cut(self._open)
                rotation = self._next_rotation()
            self._check_uploads()
            if time.monotonic() >= commit_at:
                self._commit()
                commit_at = time.monotonic() + self._commit_seconds

    def _next_rotation(self) -> float | None:
        """When rotate.schedule.interval.ms next cuts the buffers, in seconds since the epoch."""
        if self._zone is None or self._config.rotate_seconds is None:
            return None
        return next_rotation(datetime.datetime.now(self._zone), self._config.rotate_seconds)

    def _follow_assignment(self) -> None:
        """Open added partitions; close removed ones, those whose topic was created anew, and all at a rebalance.

        The buffer of a partition that stays is dropped and read again, as by the real sink: where an object ends must
        not depend on when another topic appears.
        """
        wanted = self._wanted
        gone = [tp for tp, (place, _) in self._open.items() if wanted.get(tp) != place]
        stay = [tp for tp in gone if tp in wanted and wanted[tp].topic_id == self._open[tp][0].topic_id]
        self._cut([tp for tp in gone if tp not in stay])
        self._wait_written(tp for tp in gone if tp in self._open)
        self._reopen([tp for tp in gone if tp in self._open and tp not in stay])
        if stay:
            self._commit()
            self._reopen([tp for tp in stay if tp in self._open])
        for tp, place in wanted.items():
            if tp not in self._open and not self._stopping.is_set():
                self._start(tp, place)

    def _start(self, tp: TopicPartition, place: Assignment) -> None:
        """Open a partition behind the last record that is in S3."""
        topic_id = place.topic_id
        try:
            position, end = self._position(tp, topic_id)
            objects = PartitionObjects(self._bucket, self._config, tp.topic, tp.partition, topic_id)
            objects.load(position, end)
            flush = self._dead_letters.flush
            partition = Partition(self._config, objects, self._to_line, flush, position, self._puts)
            self._open[tp] = place, partition
            self._consumer.assign(list(self._open))
            self._consumer.seek(tp, partition.position)
            log.info("%s: reading %s-%s from offset %d", self.name, *tp, partition.position)
        except KafkaError as error:
            self._retry_or_fail(error, f"cannot start reading {tp.topic}-{tp.partition}")

    def _position(self, tp: TopicPartition, topic_id: str) -> tuple[int, int | None]:
        """Where to look first, and the partition's end if this sink itself committed that offset; None if not.

        The commit's metadata is the topic's id. So the sink's own commits, at which an object ends, differ from those
        of people and tools, which may lie within an object, and those of a deleted topic from its successor's.
        """
        committed = self._consumer.committed(tp, metadata=True, timeout_ms=KAFKA_TIMEOUT_MS)
        earliest: int = self._consumer.beginning_offsets([tp], timeout_ms=KAFKA_TIMEOUT_MS)[tp]
        if committed is None or committed.offset < 0:
            return earliest, None
        if committed.metadata and committed.metadata != topic_id:
            log.warning("%s: %s-%s was created anew: reading it from the start", self.name, *tp)
            return earliest, None
        end: int = self._consumer.end_offsets([tp], timeout_ms=KAFKA_TIMEOUT_MS)[tp]
        if not earliest <= committed.offset <= end:
            log.warning(
                "%s: the committed offset %d of %s-%s is out of range (%d to %d, retention?): resuming at the earliest",
                *(self.name, committed.offset, *tp, earliest, end),
            )
            return earliest, None
        return committed.offset, end if committed.metadata == topic_id else None

    def _read(self, rotation: float | None) -> None:
        if not self._open:
            self._stopping.wait(0.1)
            return
        busy = False
        for tp, (_, partition) in self._open.items():
            full = self.paused or partition.uploads.full()
            busy = busy or (full and not self.paused) or partition.uploads.first_unwritten() is not None
            if full != (tp in self._consumer.paused()):
                (self._consumer.pause if full else self._consumer.resume)(tp)
        wait = 0.02 if busy else min(0.5, self._commit_seconds, max((rotation or 1e12) - time.time(), 0.0))
        try:
            polled = self._consumer.poll(timeout_ms=int(wait * 1000) + 1)
        except (OffsetOutOfRangeError, LogTruncationError) as error:
            log.warning("%s: %s: finding the position again", self.name, error)
            self._reopen(list(self._open))
            return
        except KafkaError as error:
            self._retry_or_fail(error, "cannot read from Kafka")
            return
        for tp, records in polled.items():
            if tp in self._open:
                self._add(tp, records)

    def _add(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        partition = self._open[tp][1]
        self.topics.add(tp.topic)
        try:
            if not partition.add(records):
                self._consumer.seek(tp, partition.position)
        except KafkaError as error:
            self._reread_all(error)

    def _to_line(self, record: ConsumerRecord) -> bytes | None:
        """The record's line, None if it is skipped; a skipped record is a dead letter or an ignored null."""
        try:
            text = line(record.value)
        except BadValue as problem:
            self._dead_letters.bad_value(record, str(problem))
            return None
        if text is None:
            self._dead_letters.null_value(record)
        return text

    def _cut(self, partitions: Iterable[TopicPartition]) -> None:
        """Submit the buffers of these partitions as objects; if dead letters cannot be written, reread everything."""
        try:
            for tp in partitions:
                self._open[tp][1].flush()
        except KafkaError as error:
            self._reread_all(error)

    def _reread_all(self, error: KafkaError) -> None:
        """Reopen all partitions after dead letters failed, which can be of any of them."""
        self._retry_or_fail(error, "cannot write to the dead-letter topic")
        self._reopen(list(self._open))

    def _check_uploads(self) -> None:
        self._reopen([tp for tp, (_, partition) in self._open.items() if not partition.check()])

    def _reopen(self, partitions: list[TopicPartition]) -> None:
        """Close these partitions; the loop opens them again where S3 and the offsets say."""
        for tp in partitions:
            self._open.pop(tp)[1].uploads.close()
        if partitions:
            self._consumer.assign(list(self._open))

    def _commit(self) -> None:
        """Commit what is safe: dead letters first, so that none is lost; one may be sent again after a kill.

        As the real worker does, commits either nothing or all partitions; those without progress at the offset at which
        they were opened.
        """
        try:
            self._dead_letters.flush()
        except KafkaError as error:
            self._reread_all(error)
            return
        safe = {tp: partition.safe() for tp, (_, partition) in self._open.items()}
        if all(offset == self._open[tp][1].committed for tp, offset in safe.items()):
            return
        try:
            ids = {tp: place.topic_id for tp, (place, _) in self._open.items()}
            offsets = {tp: OffsetAndMetadata(offset, ids[tp], -1) for tp, offset in safe.items()}
            self._consumer.commit(offsets, timeout_ms=KAFKA_TIMEOUT_MS)
            for tp, offset in safe.items():
                self._open[tp][1].committed = offset
        except KafkaError as error:
            # Nothing is lost: after a restart the objects show where to continue.
            log.warning("%s: offsets are not committed, retrying: %s", self.name, error)

    def _finish(self) -> None:
        """Write and commit what is buffered, within STOP_SECONDS."""
        self._cut(self._open)
        self._wait_written(self._open)
        self._commit()

    def _wait_written(self, partitions: Iterable[TopicPartition]) -> None:
        """Wait until the submitted objects of these partitions are written, STOP_SECONDS at most."""
        until = time.monotonic() + STOP_SECONDS
        for tp in partitions:
            self._open[tp][1].uploads.wait(max(until - time.monotonic(), 0))

    def _retry_or_fail(self, error: KafkaError, what: str) -> None:
        """Wait a second after a transient error of Kafka; raise TaskError for one that a retry does not help."""
        if isinstance(error, _FINAL):
            raise TaskError(f"{what}: {type(error).__name__}: {error}")
        log.warning("%s: %s, retrying: %s", self.name, what, error)
        self._stopping.wait(1)
