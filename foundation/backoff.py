"""Waiting between tries: exponential, with jitter, within a budget of seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0

# A generator of its own: jitter must not take numbers from anyone else's sequence.
_JITTER = random.Random()


class Backoff:
    """The waits of one piece of work that fails for a while. A spent budget means: give up.

    ``budget`` is in seconds from now; ``sleep`` takes seconds (an Event's `wait` makes it interruptible).
    """

    def __init__(self, budget: float, sleep: Callable[[float], object] = time.sleep) -> None:
        self._budget = budget
        self._sleep = sleep
        self._began = time.monotonic()
        self._delay = FIRST_DELAY

    def wait(self, at_least: float = 0.0) -> bool:
        """Sleep until the next try is due (`at_least` is the server's Retry-After); False if the budget is spent.

        The last wait is cut to what is left of the budget, so that the last try comes at its very end.
        """
        left = self._budget - (time.monotonic() - self._began)
        if left <= 0:
            return False
        jittered = self._delay * (0.5 + _JITTER.random() / 2)
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        self._sleep(min(max(jittered, at_least), left))
        return True
