"""Cells of Python, read and run as IPython does, with outputs and errors as events."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from IPython.core.displaypub import DisplayPublisher
from traitlets.config import Config

from . import compat
from .events import Events

PICTURES = ("image/png", "image/jpeg")
TEXTS = ("text/html", "image/svg+xml", "text/markdown", "text/latex", "application/json", "text/plain")


class NotebookExit(BaseException):
    """dbutils.notebook.exit: ends the run with success. Not an Exception, so that `except Exception` lets it pass."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


class Cancelled(BaseException):
    """The run was cancelled."""


class AlreadyReported(Exception):
    """A notebook that this one includes failed, and its failure is an event already."""


@dataclass(frozen=True)
class Failure:
    """An error as the page and the API show it: a summary of a few lines, and the traceback, without colours."""

    summary: str
    trace: str
    error: BaseException


class Publisher(DisplayPublisher):  # type: ignore[misc]
    """What a cell displays becomes an event in its richest form."""

    events: Events
    drain: Callable[[], None]

    def publish(self, data: dict[str, Any], metadata: Any = None, **options: Any) -> None:
        self.drain()
        if mime := next((mime for mime in PICTURES if mime in data), None):
            picture = data[mime]
            self.events.picture(mime, base64.b64decode(picture) if isinstance(picture, str) else picture)
        elif mime := next((mime for mime in TEXTS if mime in data), None):
            self.events.display(mime, **{"html" if mime == "text/html" else "text": data[mime]})

    def clear_output(self, wait: bool = False) -> None:
        """Does nothing: events are a log."""


class Interpreter:
    """Runs Python cells in one namespace."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        config.HistoryManager.hist_file = ":memory:"
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.cache_size = 0
        # A cell's figures are shown at its end. Read when matplotlib is imported, which a notebook may never do.
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        compat.Shell.compiler_class = compat.Compiler
        compat.Shell.displayhook_class = compat.Hook
        compat.Shell.display_pub_class = Publisher
        self.shell = compat.Shell.instance(config=config)
        self.shell.compile = compat.Compiler()

    def connect(self, events: Events, drain: Callable[[], None]) -> None:
        """Where outputs go; ``drain`` is called before each."""
        self.shell.display_pub.events = events
        self.shell.display_pub.drain = drain

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's own names."""
        return self.shell.user_ns  # type: ignore[no-any-return]

    @contextmanager
    def within(self, notebook: str) -> Iterator[None]:
        """Cells now belong to another notebook, which the first one includes."""
        before, count = self.shell.compile.notebook, self.shell.execution_count
        self.shell.compile.notebook = notebook
        try:
            yield
        finally:
            self.shell.compile.notebook, self.shell.execution_count = before, count

    def run(self, code: str, number: int) -> Failure | None:
        """Run one cell. Raises NotebookExit, Cancelled and AlreadyReported; any other exception is a Failure."""
        self.shell.execution_count = number
        self.shell.trace = ""
        outer, self.shell.displayhook.source = self.shell.displayhook.source, code
        try:
            result = self.shell.run_cell(code, store_history=False)
        finally:
            self.shell.displayhook.source = outer
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, NotebookExit | Cancelled | AlreadyReported):
            raise error
        return failure(error, self.shell.trace) if error is not None else None


def failure(error: BaseException, trace: str = "") -> Failure:
    """An error with its traceback; the summary leaves out the JVM's stack, which the traceback keeps."""
    message = str(error).partition("\n\nJVM stacktrace:")[0].strip()
    name = type(error).__name__
    summary = f"{name}: {message}" if message else name
    return Failure(summary[:4000], trace or f"{name}: {error}", error)
