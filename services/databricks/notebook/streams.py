"""The streaming queries of a run: which of them failed, and when they may be stopped.

As in a Databricks job, a query that fails fails the run, unless the notebook's own code handled its exception.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.errors import StreamingQueryException

from . import compat

FIRST_ROWS, NO_ROWS = 60.0, 10.0
"""Seconds that a run waits at its end for a stream's first rows: while it starts or has work, and otherwise."""


@dataclass(frozen=True)
class Started:
    """A query, the cell that started it, and whether its trigger ends it (once, availableNow)."""

    query: Any
    cell: int
    ends: bool


class Streams:
    """All queries that this process starts, in any session and thread; ``cell`` gives the number of the current cell.

    compat.watch_streams tells it what PySpark does.
    """

    def __init__(self, cell: Callable[[], int]) -> None:
        self._cell = cell
        self._started: list[Started] = []
        self._handled: set[str] = set()
        self._ended: dict[str, StreamingQueryException | None] = {}

    def started(self, query: Any, ends: bool) -> None:
        self._started.append(Started(query, self._cell(), ends))

    def seen(self, error: StreamingQueryException) -> None:
        self._handled |= self._named_in(error)

    def asked(self, query: Any) -> None:
        self._handled.add(query.runId)

    def unhandled(self, error: StreamingQueryException) -> None:
        self._handled -= self._named_in(error)

    def await_first_rows(self) -> None:
        """Give the streams that the notebook leaves running time to write their first rows, which people look for.

        A query whose trigger ends it (once, availableNow) is waited for to its end.
        """
        began, waiting = time.monotonic(), self._started
        while waiting := [started for started in waiting if self._waits(started, began)]:
            time.sleep(0.2)

    def note(self) -> None:
        """Keep how queries ended: Spark Connect forgets a query an hour after its end."""
        for query in (each.query for each in list(self._started)):
            if query.runId not in self._ended and not query.isActive:
                self._ended[query.runId] = _failure(query)

    def failed(self) -> list[tuple[int, StreamingQueryException]]:
        """Cell and exception of each query whose failure nobody handled; raises if the cluster does not answer."""
        self.note()
        ended = [(each.cell, each.query.runId, self._ended.get(each.query.runId)) for each in self._started]
        return [(cell, error) for cell, run_id, error in ended if error is not None and run_id not in self._handled]

    def stop(self, session: Any) -> list[str]:
        """Stop what a session still streams; the names of the queries."""
        stopped = []
        for query in session.streams.active:
            stopped.append(query.name or str(query.id))
            query.stop()
        return stopped

    def _waits(self, started: Started, began: float) -> bool:
        query = started.query
        if query.runId in self._ended or not query.isActive:
            return False
        if started.ends:
            return True
        if any(progress["numInputRows"] for progress in query.recentProgress):
            return False
        status = query.status
        busy = status["isDataAvailable"] or status["message"].startswith("Initializing")
        return time.monotonic() - began < (FIRST_ROWS if busy else NO_ROWS)

    def _named_in(self, error: StreamingQueryException) -> set[str]:
        """The run ids of the queries that Spark's text names: `Query [id = …, runId = …] terminated with …`."""
        return {each.query.runId for each in self._started if each.query.runId in str(error)}


def _failure(query: Any) -> StreamingQueryException | None:
    if compat.exception_of(query) is not None:
        try:
            # Spark's own words; `exception()` of Spark Connect puts the error class before them a second time.
            compat.await_termination(query)
        except StreamingQueryException as error:
            return error
    return None
