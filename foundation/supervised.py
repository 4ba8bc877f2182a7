"""Loops that must not stop: every long-lived thread and task of the services runs in one.

If a turn raises, the error is logged and `failing` lists it until a turn succeeds; the loop continues after a pause.
Standard library only, and nothing else of this project: the containers of Airflow, LocalStack and the connector's
watch load this file alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

PATH = "/_pinflow/loops"
"""The path at which a service with an HTTP API returns `failing()` as JSON; real services have no such path."""
PAUSE = 1.0
"""Seconds between a failed turn and the next."""

log = logging.getLogger("pinflow.supervised")


@dataclass(frozen=True)
class Failure:
    """A loop whose last turn failed: its name, the first line of the error, since when (seconds since 1970)."""

    name: str
    reason: str
    since: float


_failures: dict[str, Failure] = {}
os.register_at_fork(after_in_child=_failures.clear)  # a child runs none of its parent's loops


def failing() -> list[dict[str, Any]]:
    """The current failures of this process's loops, as JSON objects."""
    return [asdict(failure) for failure in list(_failures.values())]


def is_failing(name: str) -> bool:
    """Whether the last turn of this loop failed."""
    return name in _failures


class Turn:
    """The outcome of a turn."""

    well = True


@contextmanager
def turn(name: str, known: tuple[type[Exception], ...] = ()) -> Iterator[Turn]:
    """One turn of a loop: an exception ends the turn and is logged, not raised.

    ``known``: errors to log without a traceback, for example while another service is down.
    """
    this = Turn()
    try:
        yield this
    except Exception as error:
        this.well = False
        failed(name, first_line(error), None if isinstance(error, known) else error)
    else:
        recovered(name)


def run(
    name: str,
    work: Callable[[], object],
    every: float | None = None,
    stopping: threading.Event | None = None,
    known: tuple[type[Exception], ...] = (),
) -> None:
    """Do the work every ``every`` seconds until ``stopping`` is set; without ``every``, until it succeeds once."""
    stopping = stopping or threading.Event()
    try:
        while not stopping.is_set():
            with turn(name, known) as this:
                work()
            if not this.well:
                stopping.wait(PAUSE)
            elif every is None:
                return
            else:
                stopping.wait(every)
    finally:
        _failures.pop(name, None)


def start(
    name: str,
    work: Callable[[], object],
    every: float | None = None,
    stopping: threading.Event | None = None,
    known: tuple[type[Exception], ...] = (),
) -> threading.Thread:
    """`run` in a daemon thread."""
    thread = threading.Thread(target=run, args=(name, work, every, stopping, known), name=name, daemon=True)
    thread.start()
    return thread


async def run_async(name: str, work: Callable[[], Awaitable[object]], every: float) -> None:
    """`run` for the event loop, until it is cancelled."""
    try:
        while True:
            with turn(name) as this:
                await work()
            await asyncio.sleep(every if this.well else PAUSE)
    finally:
        _failures.pop(name, None)


def failed(name: str, reason: str, error: Exception | None = None) -> None:
    """Record that a loop failed; a repeated reason is logged only once."""
    before = _failures.get(name)
    if before is None or before.reason != reason:
        log.error("%s failed and will be retried: %s", name, reason, exc_info=error)
    _failures[name] = Failure(name, reason, before.since if before else time.time())


def recovered(name: str) -> None:
    """Record that a loop works again."""
    if _failures.pop(name, None):
        log.warning("%s works again", name)


def first_line(error: Exception) -> str:
    """The class of an exception and the first line of its text, 300 characters at most."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
