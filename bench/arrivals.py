"""Waiting for records at the end of a path, and how long each was on its way."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

FIRST_POST = 6_000_000
"""Numbers from here on are no row's of the source: a post with one is known when it arrives."""


class Arrivals(ABC):
    """The end of a path: ``count`` records have been seen there."""

    count = 0

    @abstractmethod
    def look(self) -> list[int]:
        """The post numbers of records that have not been seen before; reads nothing twice, so that it costs little."""

    def new(self) -> list[int]:
        """The post numbers of all records since the last call."""
        found = self.look()
        self.count += len(found)
        return found

    def wait(self, count: int, timeout: float = 600) -> None:
        """Wait until ``count`` records have arrived; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while self.count < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count} of {count} records have arrived after {timeout:.0f} s")
            self.new()
            time.sleep(0.05)


def lag(arrivals: Arrivals, post: Callable[[range], object], rate: int, seconds: int) -> tuple[float, float]:
    """Seconds from a post to each of its three records' arrival, at ``rate`` posts per second: p50 and p95.

    ``post`` sends the posts of a range of numbers. Raises TimeoutError where records do not arrive within a minute.
    """
    arrivals.new()
    together = max(1, rate // 10)
    sent: dict[int, float] = {}
    lags: list[float] = []

    def look_until(done: Callable[[], bool]) -> None:
        while True:
            found, now = arrivals.new(), time.monotonic()
            lags.extend(now - sent[number] for number in found if number in sent)
            if done():
                return
            time.sleep(0.02)

    began = time.monotonic()
    for number in range(0, rate * seconds, together):
        due = began + number / rate
        look_until(lambda due=due: time.monotonic() >= due)  # type: ignore[misc]
        posts = range(FIRST_POST + number, FIRST_POST + number + together)
        sent |= dict.fromkeys(posts, time.monotonic())
        post(posts)
    deadline = time.monotonic() + 60
    look_until(lambda: len(lags) >= 3 * len(sent) or time.monotonic() > deadline)
    if len(lags) < 3 * len(sent):
        raise TimeoutError(f"only {len(lags)} of {3 * len(sent)} records arrived")
    cuts = statistics.quantiles(lags, n=100)
    return cuts[49], cuts[94]
