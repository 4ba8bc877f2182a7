"""The progress of a run, on stderr: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from emulator.totals import Totals

SECONDS_BETWEEN_LINES = 5.0


class Reporter:
    """Shows the totals as they grow, from a thread of its own; `say` may be called from any thread.

    ``expected`` is the number of posts, None for no limit; ``quiet`` prints only what `say` gets.
    """

    def __init__(self, totals: Totals, stop: threading.Event, expected: int | None, quiet: bool) -> None:
        self._totals = totals
        self._stop = stop
        self._ended = threading.Event()
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        if sys.stderr.isatty() and not quiet:
            self._bar = Progress(
                TextColumn("posting"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[status]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=expected, status="")
        self._quiet = quiet
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def say(self, text: str) -> None:
        """A line for the person, above the bar."""
        self._console.print(text, markup=False)

    def __enter__(self) -> Reporter:
        if self._bar:
            self._bar.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._bar:
            self._bar.stop()

    def _watch(self) -> None:
        next_line = time.monotonic() + SECONDS_BETWEEN_LINES
        said_stop = False
        while not self._ended.wait(0.2):
            if self._stop.is_set() and not said_stop:
                said_stop = True
                self.say("sending the records already taken; press Ctrl-C again to exit at once")
            if self._bar:
                self._bar.update(self._task, completed=self._totals.posts, status=self._status())
            elif not self._quiet and time.monotonic() >= next_line:
                next_line += SECONDS_BETWEEN_LINES
                self.say(f"{self._totals.posts:,} posts, {self._status()}")

    def _status(self) -> str:
        totals = self._totals
        extra = f", {totals.retries:,} retries" if totals.retries else ""
        extra += f", {totals.failures:,} failures" if totals.failures else ""
        return f"{totals.records:,} records delivered{extra}"
