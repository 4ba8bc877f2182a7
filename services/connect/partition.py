"""One topic partition inside a task: collects records, cuts them into objects, and knows which offset is safe."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from kafka.consumer.fetcher import ConsumerRecord

from services.connect.config import SinkConfig
from services.connect.objects import Batch, Conflict, PartitionObjects, Stopped

log = logging.getLogger(__name__)

MAX_OBJECT_BYTES = 32 * 1024 * 1024  # an object is cut there even if flush.size is not reached: bounds the memory
MAX_WAITING_BYTES = 2 * MAX_OBJECT_BYTES  # per partition: objects that are cut and not yet in S3
MAX_WAITING_OBJECTS = 64
PARALLEL_SINGLES = 4  # PUTs at a time with flush.size=1; LocalStack gets no faster with more


class Uploads:
    """Writes a partition's batches: in order, and with flush.size=1 several at a time.

    More than one PUT at a time is only safe where the objects' boundaries cannot differ after a kill: a process
    that died can have a PUT under way that lands after its successor looked. With one record an object the
    successor writes the same keys; with more, only the first such object collides with the successor's and the
    others would overlap.
    """

    def __init__(self, pool: ThreadPoolExecutor, write: Callable[[Batch], None], parallel: int) -> None:
        self._pool = pool
        self._write = write
        self._parallel = parallel
        self._changed = threading.Condition()
        self._queue: deque[Batch] = deque()
        self._waiting: deque[Batch] = deque()  # in offset order, also those being written
        self._written: set[int] = set()
        self._active = 0
        self._closed = False
        self.error: Exception | None = None

    def submit(self, batch: Batch) -> None:
        """Queue a batch; it begins where the one before ended."""
        with self._changed:
            self._queue.append(batch)
            self._waiting.append(batch)
            if self._active < self._parallel:
                self._active += 1
                self._pool.submit(self._run)

    def first_unwritten(self) -> Batch | None:
        """The first batch that is not in S3 yet; None if all are."""
        with self._changed:
            while self._waiting and self._waiting[0].start in self._written:
                self._written.discard(self._waiting.popleft().start)
            return self._waiting[0] if self._waiting else None

    def full(self) -> bool:
        """Whether so much is waiting that nothing more should be read."""
        with self._changed:
            waiting = sum(len(batch.body) for batch in self._waiting)
            return len(self._waiting) >= MAX_WAITING_OBJECTS or waiting >= MAX_WAITING_BYTES

    def wait(self, timeout: float) -> bool:
        """Wait until everything queued is written (or writing failed); False if it takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._active, timeout)

    def close(self) -> None:
        """Drop what is queued and wait for the writes under way, so that nothing lands after this."""
        with self._changed:
            self._closed = True
            self._queue.clear()
        self.wait(30)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._queue or self._closed or self.error:
                    self._active -= 1
                    self._changed.notify_all()
                    return
                batch = self._queue.popleft()
            try:
                self._write(batch)
            except Exception as error:  # handed to the task's own thread, whatever it is
                with self._changed:
                    self.error = self.error or error
            else:
                with self._changed:
                    self._written.add(batch.start)


class Partition:
    """The state of one partition: what was read, what waits in the buffer, what is being written.

    ``position`` is the next offset to read; ``keep`` turns a record into a line, or into None if it is skipped;
    ``settle`` returns when the dead letters of what was skipped so far are in Kafka, or raises KafkaError.
    """

    def __init__(
        self,
        config: SinkConfig,
        objects: PartitionObjects,
        pool: ThreadPoolExecutor,
        keep: Callable[[ConsumerRecord], bytes | None],
        settle: Callable[[], None],
        position: int,
    ) -> None:
        self._flush_size = config.flush_size
        self._objects = objects
        self._keep = keep
        self._settle = settle
        self._lines: list[bytes] = []
        self._bytes = 0
        self._start = self._end = position  # of the buffer: its first line's offset, and the one behind its last
        self._bound: int | None = None
        self.uploads = Uploads(pool, objects.write, PARALLEL_SINGLES if config.flush_size <= 1 else 1)
        self.committed = position
        self.position = self._written = objects.free_from(position)
        self._bound = objects.bound(self.position)

    def add(self, records: Sequence[ConsumerRecord]) -> bool:
        """Take records in offset order; False if reading must go on at ``position``, behind an existing object."""
        for record in records:
            if record.offset < self.position:
                continue
            if self._bound is not None and record.offset >= self._bound:
                self.flush()
                self.position = self._written = self._objects.free_from(record.offset)
                self._bound = self._objects.bound(self.position)
                if self.position > record.offset:
                    return False
            line = self._keep(record)
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
        """Cut the buffer: what is in it becomes one object. If that raises, the partition must be opened anew."""
        if self._lines:
            records = len(self._lines)
            if self._end - self._start > records:
                # Once the object is there its offsets are never read again, committed or not: letters go first.
                self._settle()
            body = b"\n".join([*self._lines, b""])
            self.uploads.submit(Batch(self._start, self._end, records, body, self._written))
            self._written = self._end
            self._lines = []
            self._bytes = 0

    def safe(self) -> int:
        """The offset that can be committed: behind the last record that is in S3.

        What was skipped after it is skipped again after a restart, as by the real sink, which commits in its preCommit
        only what it has written.
        """
        unwritten = self.uploads.first_unwritten()
        return self._written if unwritten is None else unwritten.follows

    def check(self) -> bool:
        """False if the partition must be opened anew because of a foreign object; raises what ended a write."""
        error = self.uploads.error
        if error is None:
            return True
        if isinstance(error, Conflict):
            log.warning("%s was written by someone else: going on behind it", error)
            return False
        if isinstance(error, Stopped):
            return True
        raise error
