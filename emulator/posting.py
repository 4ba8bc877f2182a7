"""Turns draws into posts and posts into records, each at its time, until the count is reached or the run stops."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from emulator import sequence
from emulator.encoding import encode
from emulator.sending import LINGER, Sender
from emulator.sequence import Draw
from emulator.source import Post, Row, Source
from emulator.spill import Spill
from emulator.totals import Totals


@dataclass(frozen=True)
class Plan:
    """Which posts, and when.

    ``count`` 0 is without end (sequential: to the last row). ``start`` is where in the sequence to begin. ``rate`` is
    in posts per second, `script` the well-known script's own pace, `max` as fast as possible. ``rows`` is the range of
    row numbers, both ends included; without one the script's own range is drawn from.
    """

    count: int = 500
    rate: float | Literal["script", "max"] = "max"
    order: Literal["script", "sequential"] = "script"
    seed: int = 100
    start: int = 0
    rows: tuple[int, int] | None = None

    def schedule(self, available: int) -> Iterator[tuple[float, Draw]]:
        """The draws with their due times (seconds from the start), for so many available rows.

        Due times count from the start and not from the post before, so that a run that fell behind catches up.
        """
        last = available - 1
        if self.order == "sequential":
            draws = sequence.sequential(self.seed, last, self.start)
        else:
            # A table of the user's own with fewer rows than the script knows of is drawn from as a whole.
            last = last if self.rows else min(last, sequence.SCRIPT_LAST_POSITION)
            draws = sequence.script(self.seed, last, self.start)
        due = 0.0
        for number, draw in enumerate(islice(draws, self.count or None)):
            if self.rate == "script":
                due += draw.pause
            elif self.rate != "max":
                due = number / self.rate
            yield due, draw


@dataclass(frozen=True)
class Posting:
    """Posts from a source to every sender, one for each route."""

    source: Source
    senders: list[Sender]
    totals: Totals
    spill: Spill
    stop: threading.Event

    def run(self, schedule: Iterable[tuple[float, Draw]]) -> None:
        """Post everything that is scheduled, or until `stop`; the senders finish what they hold afterwards."""
        due_times: deque[float] = deque()

        def positions() -> Iterator[int]:
            for due, draw in schedule:
                due_times.append(due)
                yield draw.position

        began = self.totals.start()
        for post in self.source.posts(positions()):
            if not self._wait_until(began + due_times.popleft()):
                break
            self._hand_over(post)

    def _wait_until(self, moment: float) -> bool:
        """Wait, sending the records that have lingered; return False as soon as the run is to stop."""
        while not self.stop.is_set():
            for sender in self.senders:
                sender.flush_waiting()
            left = moment - time.monotonic()
            if left <= 0:
                return True
            self.stop.wait(min(left, LINGER / 2))
        return False

    def _hand_over(self, post: Post) -> None:
        self.totals.posted(post.number)
        failure: Exception | None = None
        for place, row in enumerate(post.rows):
            try:
                record = encode(row)
            except ValueError as error:
                for sender in self.senders:
                    self.spill.write(sender.destinations[place], _as_text(row), f"not JSON: {error}")
                    self.totals.failed(1)
                continue
            for sender in self.senders:
                try:
                    sender.add(sender.destinations[place], record)
                except Exception as problem:  # so that the post's other records are taken, and spilled
                    failure = failure or problem
        if failure:
            raise failure


def _as_text(row: Row) -> bytes:
    return json.dumps(str(row)).encode()
