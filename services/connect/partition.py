"""One topic partition inside a task: collects records, cuts them into objects, and knows which offset is safe."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from services.connect.config import SinkConfig
from services.connect.objects import Batch, Conflict, PartitionObjects, Stopped

log = logging.getLogger(__name__)

MAX_OBJECT_BYTES = 32 * 1024 * 1024  # an object is cut there even if flush.size is not reached: bounds the memory
MAX_WAITING_BYTES = 2 * MAX_OBJECT_BYTES  # per partition: objects that are cut and not yet in S3
MAX_WAITING_OBJECTS = 64
PARALLEL_SINGLES = 4  # PUTs of a task at a time with flush.size=1; LocalStack gets no faster with more


class Uploads:
    """Writes a partition's batches: in order, and with flush.size=1 several at a time.

    More than one PUT at a time is only safe where the objects' boundaries cannot differ after a kill: a process
    that died can have a PUT in flight that lands after its successor looked. With one record an object the
    successor writes the same keys; with more, only the first such object collides with the successor's and the
    others would overlap.
    """

    def __init__(
        self, write: Callable[[Batch], None], parallel: int, puts: AbstractContextManager[Any] | None = None
    ) -> None:
        self._write = write
        self._puts = puts or nullcontext()  # shared by the partitions of a task
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="put")
        self._waiting: deque[tuple[Batch, Future[None]]] = deque()  # in offset order, also those being written
        self._closed = False
        self.error: Exception | None = None

    def submit(self, batch: Batch) -> None:
        """Queue a batch; it begins where the one before ended."""
        self._waiting.append((batch, self._pool.submit(self._run, batch)))

    def first_unwritten(self) -> Batch | None:
        """The first batch that is not in S3 yet; None if all are."""
        while self._waiting and self._waiting[0][1].done() and not self._waiting[0][1].exception():
            self._waiting.popleft()
        return self._waiting[0][0] if self._waiting else None

    def full(self) -> bool:
        """Whether so much is waiting that reading must pause."""
        self.first_unwritten()
        waiting = sum(len(batch.body) for batch, _ in self._waiting)
        return len(self._waiting) >= MAX_WAITING_OBJECTS or waiting >= MAX_WAITING_BYTES

    def wait(self, timeout: float) -> bool:
        """Wait until everything queued is written (or writing failed); False at the timeout."""
        return not wait([future for _, future in self._waiting], timeout).not_done

    def close(self, timeout: float = 30) -> None:
        """Drop what is queued and wait for the writes in flight, so that nothing lands after this."""
        self._closed = True
        self.wait(timeout)
        self._pool.shutdown(wait=False)

    def _run(self, batch: Batch) -> None:
        with self._puts:
            if self._closed or self.error:
                raise Stopped
            try:
                self._write(batch)
            except Exception as error:  # raised in the task's own thread, whatever it is
                self.error = self.error or error
                raise


class Partition:
    """The state of one partition: what was read, what is in the buffer, what is being written.

    ``position`` is the next offset to read; ``to_line`` turns a record into a line, or into None if it is skipped;
    ``flush_dead_letters`` returns when those of the records skipped so far are in Kafka, or raises KafkaError.
    """

    def __init__(
        self,
        config: SinkConfig,
        objects: PartitionObjects,
        to_line: Callable[[ConsumerRecord], bytes | None],
        flush_dead_letters: Callable[[], None],
        position: int,
        puts: AbstractContextManager[Any] | None = None,
    ) -> None:
        self._flush_size = config.flush_size
        self._objects = objects
        self._to_line = to_line
        self._flush_dead_letters = flush_dead_letters
        self._lines: list[bytes] = []
        self._bytes = 0
        self._start = self._end = position  # of the buffer: its first line's offset, and the one after its last
        self._next_start: int | None = None
        self.uploads = Uploads(objects.write, PARALLEL_SINGLES if config.flush_size <= 1 else 1, puts)
        self.committed = position
        self.position = self._written = objects.first_free(position)
        self._next_start = objects.next_start(self.position)

    def add(self, records: Sequence[ConsumerRecord]) -> bool:
        """Add records in offset order; False if reading must continue at ``position``, behind an existing object."""
        for record in records:
            if record.offset < self.position:
                continue
            if self._next_start is not None and record.offset >= self._next_start:
                self.flush()
                self.position = self._written = self._objects.first_free(record.offset)
                self._next_start = self._objects.next_start(self.position)
                if self.position > record.offset:
                    return False
            line = self._to_line(record)
            self.position = record.offset + 1
            if line is None:
                continue
            if not self._lines:
                self._start = record.offset
            self._end = record.offset + 1
            self._lines.append(line)
            self._bytes += len(line) + 1
            if len(self._lines) >= self._flush_size or self._bytes >= MAX_OBJECT_BYTES:
                self.flush()
        return True

    def flush(self) -> None:
        """Submit the buffer as one object. If this raises, the partition must be reopened."""
        if self._lines:
            records = len(self._lines)
            if self._end - self._start > records:
                # Once the object is there its offsets are never read again, committed or not: letters go first.
                self._flush_dead_letters()
            body = b"\n".join([*self._lines, b""])
            self.uploads.submit(Batch(self._start, self._end, records, body, self._written))
            self._written = self._end
            self._lines = []
            self._bytes = 0

    def safe(self) -> int:
        """The offset that can be committed: behind the last record that is in S3.

        Records skipped after it are skipped again after a restart: the real sink commits only what it has written, too.
        """
        unwritten = self.uploads.first_unwritten()
        return self._written if unwritten is None else unwritten.follows

    def check(self) -> bool:
        """False if the partition must be reopened behind another writer's object; raises a write's error."""
        error = self.uploads.error
        if error is None:
            return True
        if isinstance(error, Conflict):
            log.warning("%s was written by another writer: continuing behind it", error)
            return False
        if isinstance(error, Stopped):
            return True
        raise error
