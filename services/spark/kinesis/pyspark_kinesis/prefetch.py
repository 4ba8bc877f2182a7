"""Reading ahead: threads that fetch from all shards, and their records, in order, for the next micro-batch.

A shard is read by one thread at a time, and a child only after its parents' ends. What happens is recorded as Steps:
applied in order they give the offset at any point.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count

from pyspark_kinesis.client import Backoff, Kinesis
from pyspark_kinesis.errors import KinesisError, MissingStreamError, ShardGoneError, TransientError
from pyspark_kinesis.lineage import ShardsOfStream, Step
from pyspark_kinesis.offsets import Position, Shards
from pyspark_kinesis.options import Options
from pyspark_kinesis.rows import batch
from pyspark_kinesis.shard import Cursor, Page, Until, after

MAX_THREADS = 32
BACKLOG = 1000
"""A shard that is more milliseconds behind its tip has a backlog."""
LAST_FETCH = 0.2
"""Seconds that a micro-batch waits at most for a last fetch from the shards that rested."""

Job = Callable[[], float | None]


class Prefetch:
    """Reads streams on from ``positions`` until ``stop``; with ``target`` (milliseconds since 1970) up to there.

    A stream without positions begins at ``initial`` (see ShardsOfStream). At most fetchBufferSize bytes, and the result
    of one more call of each thread, wait to be taken. While rows wait and no shard has a backlog, shards rest: they are
    fetched from when those rows are taken.
    """

    def __init__(
        self,
        kinesis: Kinesis,
        options: Options,
        positions: dict[str, Shards],
        initial: Position,
        target: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kinesis, self._options, self._target = kinesis, options, target
        self._streams = [
            ShardsOfStream(stream, positions.get(stream.key), initial, options) for stream in options.streams
        ]
        self._clock = clock
        self._changed = threading.Condition()
        self._jobs: list[tuple[float, int, Job]] = []
        self._order = count()
        self._busy = 0
        self._steps: deque[Step] = deque()
        self._bytes = 0
        self._first = 0.0
        self._behind: set[Cursor] = set()
        self._asked = False
        self._resting: list[Job] = []
        self._last_fetches: set[Job] = set()
        self._error: KinesisError | None = None
        self._stopped = False
        self._threads = 0

    def start(self) -> None:
        """Start to read."""
        with self._changed:
            for stream in self._streams:
                self._add(0, self._listing(stream))
            self._start_threads(1)

    def stop(self) -> None:
        """Let the threads exit; those in a call exit after it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self, timeout: float) -> list[Step]:
        """What has arrived; if there is nothing yet, wait up to ``timeout`` seconds.

        The first call waits until every stream has been listed; with a target, a call waits until something arrives or
        everything was read. While a shard has a backlog, rows are collected for maxFetchDuration, or until the buffer
        is full: few large micro-batches cost less than many small ones. Raises KinesisError if reading had to stop.
        """
        with self._changed:
            began = self._clock()
            self._asked = True
            self._wake_shards()
            while self._last_fetches and not self._error and self._clock() < began + LAST_FETCH:
                self._changed.wait(began + LAST_FETCH - self._clock())
            while not self._error and not self._ripe():
                waiting = self._steps or self._target is not None or not self._listed()
                if self._drained() or (not waiting and self._clock() >= began + timeout):
                    break
                self._changed.wait(0.5 if waiting else max(0.0, began + timeout - self._clock()))
            if self._error:
                raise self._error
            taken = list(self._steps)
            self._steps.clear()
            self._bytes = 0
            self._asked = False
            self._changed.notify_all()
            return taken

    def _wake_shards(self) -> None:
        """Let the shards that rest be fetched from at once."""
        # In the order in which they came to rest: one that the last fetch had no time for is the first now.
        resting, self._resting = self._resting, []
        self._last_fetches = set(resting)
        for job in resting:
            self._add(0, job)

    def _rests(self) -> bool:
        """Whether a fetch can wait until the next micro-batch begins, and bring more then."""
        return self._bytes > 0 and not self._asked and not self._behind and self._target is None

    def _listed(self) -> bool:
        return all(stream.listed for stream in self._streams)

    def _ripe(self) -> bool:
        """Whether what has arrived makes a micro-batch."""
        if not self._steps or not self._listed():
            return False
        collected = self._clock() - self._first >= self._options.max_fetch_duration
        return not self._behind or collected or self._bytes >= self._options.fetch_buffer_size

    def _drained(self) -> bool:
        return not self._steps and not self._jobs and not self._busy

    def _add(self, delay: float, job: Job) -> None:
        heapq.heappush(self._jobs, (self._clock() + delay, next(self._order), job))
        self._changed.notify_all()

    def _start_threads(self, threads: int) -> None:
        while self._threads < min(threads, MAX_THREADS):
            self._threads += 1
            threading.Thread(target=self._work, name=f"kinesis-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        """What a thread does: the job that is due, again and again. A job returns when it wants its next turn."""
        while (job := self._next()) is not None:
            try:
                delay = job()
            except KinesisError as error:
                self._fail(error)
            except Exception as error:  # a thread that dies silently would be a query that hangs
                self._fail(KinesisError(f"reading ahead failed: {error!r}", "this is a bug of the Kinesis source"))
            else:
                with self._changed:
                    self._busy -= 1
                    self._last_fetches.discard(job)
                    if delay is not None:
                        self._add(delay, job)
                    self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            while not self._stopped and not self._error:
                now = self._clock()
                full = self._bytes >= self._options.fetch_buffer_size
                if self._jobs and not full and self._jobs[0][0] <= now:
                    self._busy += 1
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(None if full or not self._jobs else self._jobs[0][0] - now)
            return None

    def _fail(self, error: KinesisError) -> None:
        with self._changed:
            self._busy -= 1
            self._error = self._error or error
            self._changed.notify_all()

    def _put(self, step: Step) -> None:
        with self._changed:
            self._first = self._first if self._steps else self._clock()
            self._steps.append(step)
            self._bytes += step.rows.nbytes if step.rows is not None else 0
            self._changed.notify_all()

    def _listing(self, stream: ShardsOfStream) -> Job:
        """The job that lists a stream's shards: begins new ones, and drops those that are gone."""
        backoff = Backoff(self._clock)

        def job() -> float | None:
            try:
                shards = self._kinesis.shards(stream.stream)
            except (TransientError, MissingStreamError) as error:
                return backoff.failed(error)
            backoff.succeeded()
            with self._changed:
                for step in stream.update(shards):
                    self._put(step)
                for shard, position in stream.due(draining=self._target is not None):
                    cursor = Cursor(self._kinesis, self._options, stream.stream, shard, position)
                    stream.cursors[shard.id] = cursor
                    self._add(0, self._fetching(stream, cursor))
                self._start_threads(self._options.tasks(sum(len(each.cursors) for each in self._streams)))
                if self._target is None:
                    return self._options.shard_fetch_interval
                return min(1.0, self._options.shard_fetch_interval) if stream.cursors else None

        return job

    def _fetching(self, stream: ShardsOfStream, cursor: Cursor) -> Job:
        """The job that reads one shard: a GetRecords at a time, no faster than the options allow."""
        backoff = Backoff(self._clock)
        backoff.succeeded()  # ListShards was answered a moment ago

        def job() -> float | None:
            with self._changed:
                if job not in self._last_fetches and self._rests():
                    self._resting.append(job)
                    return None
            began, before = self._clock(), cursor.position
            try:
                page = cursor.fetch()
            except (TransientError, MissingStreamError) as error:
                return backoff.failed(error)
            except ShardGoneError:
                with self._changed:
                    self._put(stream.forget(cursor.shard.id))
                    self._behind.discard(cursor)
                return None
            backoff.succeeded()
            if self._keep(stream, cursor, before, page):
                return None
            size = sum(len(record["Data"]) for record in page.records)
            pace = max(self._options.min_fetch_period, size / self._options.max_fetch_rate)
            return max(0.0, began + pace - self._clock())

        return job

    def _keep(self, stream: ShardsOfStream, cursor: Cursor, before: Position, page: Page) -> bool:
        """Record the result of a fetch; returns whether the shard is finished."""
        records, reached = Until(arrived=self._target).cut(page.records)
        position = cursor.position
        if reached:
            position = after(records[-1]) if records else before
        reached = reached or (self._target is not None and page.tip)
        rows = batch(stream.stream, cursor.shard.id, records) if records else None
        with self._changed:
            if rows is not None or position.kind == "SHARD_END":
                self._put(Step(stream.stream.key, cursor.shard.id, position, rows))
            done = position.kind == "SHARD_END" or reached
            if done:
                stream.finish(cursor.shard.id, position)
            if page.behind > BACKLOG and not done:
                self._behind.add(cursor)
            else:
                self._behind.discard(cursor)
        return done
