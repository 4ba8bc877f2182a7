"""Waiting for a condition in place of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Hopeless(AssertionError):
    """What is waited for can no longer come: `wait_for` fails with this at once."""


def wait_for(what: str, seen: Callable[[], Any], timeout: float = 60, every: float = 0.1) -> Any:
    """The first truthy answer of ``seen``; fails with its last answer or error after ``timeout`` seconds.

    Other errors of ``seen`` than Hopeless mean "not yet".
    """
    deadline, last = time.monotonic() + timeout, None
    while time.monotonic() < deadline:
        try:
            last = seen()
            if last:
                return last
        except Hopeless:
            raise
        except Exception as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"after {timeout:.0f} s still not: {what}; last seen: {last!r}")
