"""One run of the emulator, from its first post to its summary."""

from __future__ import annotations

import contextlib
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from requests.auth import AuthBase

from emulator.books import Books
from emulator.delivery import Delivery, Limits, Wire
from emulator.posting import Plan, Posting
from emulator.progress import Reporter
from emulator.sending import Sender
from emulator.sequence import Draw
from emulator.source import Source
from emulator.spill import Spill, SpillError
from emulator.totals import Summary, Totals
from foundation.errors import PinflowError
from foundation.profile import Profile


@dataclass(frozen=True)
class Outcome:
    """The totals; the error that ended the run early, if one did; `abandoned` if Ctrl-C was pressed twice."""

    summary: Summary
    error: PinflowError | None
    abandoned: bool


@dataclass(frozen=True)
class Route:
    """A way out: its wire, where the records of each table go (topics, streams), its limits, and how API Gateway
    knows the caller. ``require`` raises PinflowError if one of the destinations is known to be missing.
    """

    wire: Wire
    destinations: tuple[str, ...]
    limits: Limits
    auth: AuthBase | None = None
    require: Callable[[], None] = lambda: None


def emulate(profile: Profile, routes: list[Route], plan: Plan, *, quiet: bool) -> Outcome:
    """Post what the plan says by every route; raises PinflowError before the first post.

    Ctrl-C or SIGTERM sends the records already taken; a second one spills them and ends the run at once. An error ends
    the run too, and spills the records that are left.
    """
    totals, stop = Totals(), threading.Event()
    spill = Spill(_spill_directory(profile))
    books = Books(profile.home if profile.stack else None)
    error: PinflowError | None = None
    abandoned = False
    with _interruptible(stop), Reporter(totals, stop, plan.count or None, quiet) as reporter:
        for route in routes:
            route.require()
        timeout = max(route.limits.give_up_after for route in routes)
        source = Source(profile.database.engine_url, plan.rows, timeout, stop, reporter.say)
        senders = [_sender(route, totals, spill, books, reporter.say) for route in routes]
        posting = Posting(source, senders, totals, spill, stop)
        try:
            error = _post(posting, plan.schedule(source.count))
            for sender in senders:
                sender.wait()
        except KeyboardInterrupt:
            abandoned = True
        try:
            for sender in senders:
                sender.abandon(spill, totals, error.what if error else "interrupted")
        except SpillError as problem:
            error = error or problem
        books.close()
    return Outcome(totals.summary(spill.path, stop.is_set(), plan.start), error, abandoned)


def _post(posting: Posting, schedule: Iterator[tuple[float, Draw]]) -> PinflowError | None:
    """Post everything and send it; what ended that early, None if nothing did."""
    error = None
    try:
        posting.run(schedule)
    except Exception as problem:  # what was posted until then is sent all the same
        error = _as_error(problem)
    try:
        for sender in posting.senders:
            sender.send_rest()
        for sender in posting.senders:
            sender.close()
    except Exception as problem:
        error = error or _as_error(problem)
    return error


def _as_error(problem: Exception) -> PinflowError:
    if isinstance(problem, PinflowError):
        return problem
    *_, place = traceback.extract_tb(problem.__traceback__)
    where = f"{place.filename}:{place.lineno}"
    return PinflowError(f"{type(problem).__name__} at {where}: {problem}", "this is a bug: please report it")


def _sender(route: Route, totals: Totals, spill: Spill, books: Books, say: Callable[[str], None]) -> Sender:
    delivery = Delivery(route.wire, totals, spill, route.limits, say, route.auth, books.acknowledged)
    return Sender(delivery, route.destinations, route.limits, route.wire.overhead)


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
