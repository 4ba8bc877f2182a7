"""The streaming queries of a run: which of them failed, when they may be stopped.

As in a Databricks job: a query that fails fails the run, unless the notebook's own code took its exception.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.errors import StreamingQueryException
from pyspark.sql.connect.streaming.query import StreamingQuery, StreamingQueryManager
from pyspark.sql.connect.streaming.readwriter import DataStreamWriter

FIRST_ROWS, NO_ROWS = 60.0, 10.0
"""Seconds that a run waits at its end for a stream's first rows: while it starts or has some in work, and otherwise."""


@dataclass(frozen=True)
class Started:
    """A query, the cell that started it, and whether its trigger ends it by itself (once, availableNow)."""

    query: Any
    cell: int
    ends: bool


class Streams:
    """All queries that this process starts, in any session and thread; `cell` gives the number of the current cell."""

    def __init__(self, cell: Callable[[], int]) -> None:
        self._cell = cell
        self._started: list[Started] = []
        self._taken: set[str] = set()
        self._ended: dict[str, StreamingQueryException | None] = {}
        self._exception, self._await = StreamingQuery.exception, StreamingQuery.awaitTermination

    def install(self) -> None:
        """Make PySpark's own classes report here. Once per process."""
        for name in ("start", "toTable"):
            setattr(DataStreamWriter, name, self._remembering(getattr(DataStreamWriter, name)))
        # Databricks' own name for toTable.
        DataStreamWriter.table = DataStreamWriter.toTable
        for owner, name in (
            (StreamingQuery, "awaitTermination"),
            (StreamingQuery, "processAllAvailable"),
            (StreamingQueryManager, "awaitAnyTermination"),
        ):
            setattr(owner, name, self._taking(getattr(owner, name)))
        StreamingQuery.exception = self._asking(StreamingQuery.exception)
        threading.excepthook = self._not_taken(threading.excepthook)

    def await_first_rows(self) -> None:
        """Give what the notebook leaves streaming the time to write its first rows: to see them it was started.

        A query whose trigger ends it (once, availableNow) is waited for to its end.
        """
        began, waiting = time.monotonic(), self._started
        while waiting := [started for started in waiting if self._waits(started, began)]:
            time.sleep(0.2)

    def note(self) -> None:
        """Keep how queries have ended: Spark Connect forgets a query an hour after its end."""
        for query in (each.query for each in list(self._started)):
            if query.runId not in self._ended and not query.isActive:
                self._ended[query.runId] = self._failure(query)

    def failed(self) -> list[tuple[int, StreamingQueryException]]:
        """Cell and exception of each query that failed and whose exception nobody took; raises if nobody answers."""
        self.note()
        ended = [(each.cell, each.query.runId, self._ended.get(each.query.runId)) for each in self._started]
        return [(cell, error) for cell, run_id, error in ended if error is not None and run_id not in self._taken]

    def stop(self, session: Any) -> list[str]:
        """Stop what a session still streams; the names of the queries."""
        stopped = []
        for query in session.streams.active:
            stopped.append(query.name or str(query.id))
            query.stop()
        return stopped

    def _failure(self, query: Any) -> StreamingQueryException | None:
        if self._exception(query) is None:
            return None
        try:
            # Its words are Spark's; `exception()` of Spark Connect puts the error class before them once more.
            self._await(query)
        except StreamingQueryException as error:
            return error
        return None

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

    def _remembering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def start(writer: Any, *args: Any, **kwargs: Any) -> Any:
            query = original(writer, *args, **kwargs)
            trigger = writer._write_proto.WhichOneof("trigger")
            self._started.append(Started(query, self._cell(), trigger in ("once", "available_now")))
            return query

        return start

    def _taking(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wait(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            except StreamingQueryException as error:
                self._taken |= self._named_in(error)
                raise

        return wait

    def _asking(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def exception(query: Any) -> Any:
            error = original(query)
            if error is not None:
                self._taken.add(query.runId)
            return error

        return exception

    def _not_taken(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """An exception that ends a thread was taken by nobody."""

        def excepthook(ending: Any) -> None:
            if isinstance(ending.exc_value, StreamingQueryException):
                self._taken -= self._named_in(ending.exc_value)
            original(ending)

        return excepthook

    def _named_in(self, error: StreamingQueryException) -> set[str]:
        """The run ids of the queries that Spark's text names: `Query [id = …, runId = …] terminated with …`."""
        return {each.query.runId for each in self._started if each.query.runId in str(error)}
