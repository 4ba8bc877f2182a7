"""One run of the emulator from its first post to its summary, whatever the wire."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from emulator.delivery import Delivery, Limits, Wire
from emulator.posting import Plan, Posting
from emulator.progress import Reporter
from emulator.sending import Sender
from emulator.source import Source
from emulator.spill import Spill
from emulator.totals import Summary, Totals
from pinflow.errors import PinflowError
from pinflow.profile import Profile


@dataclass(frozen=True)
class Outcome:
    """The totals; the error that ended the run early, if one did; `abandoned` if Ctrl-C was pressed twice."""

    summary: Summary
    error: PinflowError | None
    abandoned: bool


def emulate(
    profile: Profile, wire: Wire, destinations: tuple[str, str, str], plan: Plan, limits: Limits, *, quiet: bool
) -> Outcome:
    """Post what the plan says to the destinations of pin, geo and user; raises SourceError before the first post.

    Ctrl-C or SIGTERM finishes what is in hand; a second one spills it and ends at once.
    """
    totals, stop = Totals(), threading.Event()
    spill = Spill(_spill_directory(profile))
    error, abandoned = None, False
    with _interruptible(stop), Reporter(totals, stop, plan.count or None, quiet) as reporter:
        source = Source(profile.database.engine_url, plan.rows, limits.give_up_after, stop, reporter.say)
        delivery = Delivery(wire, totals, spill, limits, reporter.say)
        sender = Sender(delivery, destinations, limits, wire.overhead)
        posting = Posting(source, sender, destinations, totals, spill, stop)
        try:
            try:
                posting.run(plan.schedule(source.count))
            except PinflowError as problem:
                error = problem
            sender.close()
        except PinflowError as problem:
            error = error or problem
        except KeyboardInterrupt:
            abandoned = True
            sender.abandon(spill, totals)
    return Outcome(totals.summary(spill.path, stop.is_set(), plan.start), error, abandoned)


def _spill_directory(profile: Profile) -> Path:
    return profile.home / "spill" if profile.stack else Path("spill").resolve()


@contextlib.contextmanager
def _interruptible(stop: threading.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM sets `stop`, the second raises KeyboardInterrupt."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
