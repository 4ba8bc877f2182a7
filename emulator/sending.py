"""From single records to requests: grouped by topic, a bounded number of requests in flight, in order."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from emulator.delivery import Delivery, Limits
from emulator.spill import Spill
from emulator.totals import Totals

# A record waits this long for company before its group is sent: at a slow pace nothing lies about for longer, and at
# a fast one requests stay few (API Gateway is the narrow place, hundreds of requests per second).
LINGER = 0.1
_ENVELOPE = 100  # bytes that a request's body holds around its records, generously


@dataclass
class _Group:
    records: list[bytes] = field(default_factory=list)
    size: int = 0
    opened: float = 0.0


class Sender:
    """Takes records in one thread and delivers them in others; `add` blocks while a topic has enough in hand.

    ``destinations`` are the topics, or streams, that it sends to.
    """

    def __init__(self, delivery: Delivery, topics: tuple[str, ...], limits: Limits, overhead: int) -> None:
        self.destinations = topics
        self._lanes = {topic: _Lane(topic, delivery, limits, overhead) for topic in topics}

    def add(self, topic: str, record: bytes) -> None:
        """Take one record (a row's JSON); raises what went wrong in a delivering thread, and then has taken it too."""
        self._lanes[topic].add(record)

    def flush_waiting(self) -> None:
        """Send the groups that have lingered long enough, unless their topic is busy: then they go on growing."""
        now = time.monotonic()
        for lane in self._lanes.values():
            lane.flush_if_older(now - LINGER)

    def send_rest(self) -> None:
        """Send what is left, without waiting: nothing follows, and a topic in trouble must not hold up the others."""
        for lane in self._lanes.values():
            lane.send_rest()

    def close(self) -> None:
        """Send what is left and wait until every record is delivered or spilled."""
        self.send_rest()
        for lane in self._lanes.values():
            lane.close()

    def wait(self) -> None:
        """Wait until no request is under way any more, whatever became of them."""
        for lane in self._lanes.values():
            lane.wait()

    def abandon(self, spill: Spill, totals: Totals, reason: str) -> None:
        """Spill every record that is still in hand, without waiting for any answer."""
        for topic, lane in self._lanes.items():
            for record in lane.in_hand():
                spill.write(topic, record, f"{reason}; nobody knows whether it was delivered")
                totals.failed(1)


class _Lane:
    """One topic: the group that is filling, and the groups under way."""

    def __init__(self, topic: str, delivery: Delivery, limits: Limits, overhead: int) -> None:
        self._topic = topic
        self._deliver = delivery.deliver
        self._limits = limits
        self._overhead = overhead
        self._group = _Group()
        self._pool = ThreadPoolExecutor(limits.concurrency, thread_name_prefix=topic)
        # One group more than requests in flight, so that the next one is at hand when an answer comes.
        self._room = threading.Semaphore(limits.concurrency + 1)
        self._under_way: Counter[bytes] = Counter()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def add(self, record: bytes) -> None:
        size = len(record) + self._overhead
        try:
            if self._group.size + size > self._limits.batch_bytes - _ENVELOPE:
                self.flush()
        finally:  # it is in hand, whatever became of those before it
            group = self._group
            if not group.records:
                group.opened = time.monotonic()
            group.records.append(record)
            group.size += size
        if len(group.records) >= self._limits.batch_size:
            self.flush()

    def flush(self) -> None:
        if self._group.records:
            self._room.acquire()
            self._send()

    def flush_if_older(self, moment: float) -> None:
        if self._group.records and self._group.opened <= moment and self._room.acquire(blocking=False):
            self._send()

    def send_rest(self) -> None:
        if self._group.records:
            self._send()

    def close(self) -> None:
        self.wait()
        self._raise_failure()

    def wait(self) -> None:
        self._pool.shutdown(wait=True)

    def in_hand(self) -> list[bytes]:
        with self._lock:
            return [*self._under_way.elements(), *self._group.records]

    def _send(self) -> None:
        self._raise_failure()
        records = self._group.records
        with self._lock:
            self._under_way.update(records)
            self._group = _Group()
        self._pool.submit(self._deliver, self._topic, records, self._settled).add_done_callback(self._done)

    def _settled(self, records: list[bytes]) -> None:
        with self._lock:
            self._under_way -= Counter(records)

    def _done(self, future: Future[None]) -> None:
        self._failure = self._failure or future.exception()
        self._room.release()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
