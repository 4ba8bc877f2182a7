"""Waiting between retries: exponential, with jitter, within a budget of seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0

# Its own generator, so that jitter does not change anybody else's sequence of random numbers.
_JITTER = random.Random()


class Backoff:
    """The waits between the retries of one piece of work.

    ``budget``: seconds from now after which to give up. ``sleep`` takes seconds; an Event's `wait` is interruptible.
    """

    def __init__(self, budget: float, sleep: Callable[[float], object] = time.sleep) -> None:
        self._budget = budget
        self._sleep = sleep
        self._began = time.monotonic()
        self._delay = FIRST_DELAY

    def wait(self, at_least: float = 0.0) -> bool:
        """Sleep until the next try (``at_least`` is the server's Retry-After); False if the budget is spent.

        The last wait is shortened to the rest of the budget, so that the last try comes at its end.
        """
        left = self._budget - (time.monotonic() - self._began)
        if left <= 0:
            return False
        jittered = self._delay * (0.5 + _JITTER.random() / 2)
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        self._sleep(min(max(jittered, at_least), left))
        return True
