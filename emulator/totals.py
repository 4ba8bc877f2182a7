"""What a run did, counted by its threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

# A run can go on for days; its percentiles are those of the latest requests.
LATENCIES_KEPT = 100_000


@dataclass(frozen=True)
class Summary:
    """The totals of a run. Latency is from a request's first try to its acknowledgement, retries included."""

    posts: int
    different_posts: int
    records: int
    bytes: int
    seconds: float
    posts_per_second: float
    records_per_second: float
    requests: int
    retries: int
    failures: int
    spill_file: str | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    interrupted: bool
    next_start: int

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.posts:,} posts ({self.different_posts:,} different), {self.records:,} records delivered, "
            f"{self.bytes / 1e6:,.2f} MB in {self.seconds:,.1f} s: "
            f"{self.posts_per_second:,.1f} posts/s, {self.records_per_second:,.0f} records/s",
            f"{self.requests:,} requests, {self.retries:,} retries, {self.failures:,} failures"
            + (
                f", latency p50 {self.latency_p50_ms:,.0f} ms, p95 {self.latency_p95_ms:,.0f} ms"
                if self.records
                else ""
            ),
        ]
        if self.failures:
            lines.append(f"undelivered records and the reasons: {self.spill_file}")
        if self.interrupted:
            lines.append(f"interrupted; continue with --start {self.next_start}")
        return "\n".join(lines)


class Totals:
    """Counters that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._last_answer = self._began
        self._numbers: set[int] = set()
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._bytes = 0
        self.posts = 0
        self.records = 0
        self.requests = 0
        self.retries = 0
        self.failures = 0

    def start(self) -> float:
        """The clock starts; returns the monotonic time."""
        self._began = self._last_answer = time.monotonic()
        return self._began

    def posted(self, number: int) -> None:
        """A row was read and handed to sending (by one thread only)."""
        self.posts += 1
        self._numbers.add(number)

    def requested(self, *, again: bool) -> None:
        """A request was sent; `again` if it repeats one that failed."""
        with self._lock:
            self.requests += 1
            self.retries += again

    def delivered(self, records: int, size: int, latency: float) -> None:
        """Records were acknowledged: their number, the bytes of their JSON, seconds since their first try."""
        with self._lock:
            self.records += records
            self._bytes += size
            self._latencies.append(latency)
            self._last_answer = time.monotonic()

    def failed(self, records: int) -> None:
        """Records went to the spill file."""
        with self._lock:
            self.failures += records
            self._last_answer = time.monotonic()

    def summary(self, spill_file: Path | None, interrupted: bool, start: int) -> Summary:
        """The totals, from `start` of the sequence to now; the time ends with the last answer."""
        with self._lock:
            seconds = max(self._last_answer - self._began, 1e-6)
            latencies = sorted(self._latencies)
            return Summary(
                posts=self.posts,
                different_posts=len(self._numbers),
                records=self.records,
                bytes=self._bytes,
                seconds=round(seconds, 3),
                posts_per_second=round(self.posts / seconds, 2),
                records_per_second=round(self.records / seconds, 2),
                requests=self.requests,
                retries=self.retries,
                failures=self.failures,
                spill_file=str(spill_file) if spill_file else None,
                latency_p50_ms=_percentile(latencies, 50),
                latency_p95_ms=_percentile(latencies, 95),
                interrupted=interrupted,
                next_start=start + self.posts,
            )


def _percentile(ordered: list[float], percent: int) -> float | None:
    """The nearest-rank percentile of sorted seconds, in milliseconds."""
    if not ordered:
        return None
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)] * 1000, 1)
