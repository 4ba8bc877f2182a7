"""Cells of Python, read and run as IPython does, with the outputs and errors as events."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from .events import Events

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
PICTURES = ("image/png", "image/jpeg")
TEXTS = ("text/html", "image/svg+xml", "text/markdown", "text/latex", "application/json", "text/plain")


class NotebookExit(BaseException):
    """dbutils.notebook.exit: ends the run with success. Not an Exception, so that `except Exception` lets it pass."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


class Cancelled(BaseException):
    """The run was told to end."""


class ToldAlready(Exception):
    """A notebook that this one includes failed, and the failure is known."""


@dataclass(frozen=True)
class Failure:
    """An error as the run's page and API show it: one line or few, and the whole traceback, without colours."""

    summary: str
    trace: str
    error: BaseException


class Shell(InteractiveShell):  # type: ignore[misc]
    """IPython's shell without terminal, history and colours."""

    def system(self, command: str) -> None:
        """`!command`: the process writes to the run's own output."""
        self.system_raw(command)

    def enable_gui(self, gui: str | None = None) -> None:
        """`%matplotlib inline` asks for it; there is no window here."""

    def ask_exit(self) -> None:
        """`exit` without brackets."""
        raise SystemExit(0)

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        self.trace = ANSI.sub("", self.InteractiveTB.stb2text(stb))


class Compiler(CachingCompiler):  # type: ignore[misc]
    """Names cells after their notebook and number, for tracebacks."""

    notebook = ""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return f"<{self.notebook} cell {number}>"

    def format_code_name(self, name: str) -> tuple[str, str] | None:
        if name not in self._filename_map:
            return None
        path = name[1:].rpartition(" cell ")[0]
        return (f"{path} Cell" if path else "Cell"), f"In[{self._filename_map[name]}]"


class Hook(DisplayHook):  # type: ignore[misc]
    """The value of a cell's last expression."""

    source = ""

    def quiet(self) -> bool:
        return bool(self.semicolon_at_end_of_expression(self.source))

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        self.shell.display_pub.publish(format_dict, md_dict)

    def finish_displayhook(self) -> None:
        pass


class Publisher(DisplayPublisher):  # type: ignore[misc]
    """What a cell displays becomes an event in its richest form."""

    events: Events
    drain: Callable[[], None]

    def publish(self, data: dict[str, Any], metadata: Any = None, **options: Any) -> None:
        self.drain()
        for mime in PICTURES:
            if mime in data:
                picture = data[mime]
                self.events.picture(mime, base64.b64decode(picture) if isinstance(picture, str) else picture)
                return
        for mime in TEXTS:
            if mime in data:
                key = "html" if mime == "text/html" else "text"
                self.events.display(mime, **{key: data[mime]})
                return

    def clear_output(self, wait: bool = False) -> None:
        """What was shown stays: events are a log."""


class Interpreter:
    """Runs Python cells in one namespace."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        config.HistoryManager.hist_file = ":memory:"
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.cache_size = 0
        # The figures of a cell are shown at its end; read when matplotlib is imported, which a notebook may never do.
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        Shell.compiler_class = Compiler
        Shell.displayhook_class = Hook
        Shell.display_pub_class = Publisher
        self.shell = Shell.instance(config=config)
        self.shell.compile = Compiler()
        self._notebook = ""

    def connect(self, events: Events, drain: Callable[[], None]) -> None:
        """Where outputs go."""
        self.shell.display_pub.events = events
        self.shell.display_pub.drain = drain

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's own names."""
        return self.shell.user_ns  # type: ignore[no-any-return]

    @contextmanager
    def within(self, notebook: str) -> Iterator[None]:
        """Cells are now those of another notebook, which the first one includes."""
        before, count = self.shell.compile.notebook, self.shell.execution_count
        self.shell.compile.notebook = notebook
        try:
            yield
        finally:
            self.shell.compile.notebook, self.shell.execution_count = before, count

    def run(self, code: str, number: int) -> Failure | None:
        """Run one cell. Raises NotebookExit and Cancelled; any other exception is a Failure."""
        self.shell.execution_count = number
        self.shell.trace = ""
        outer, self.shell.displayhook.source = self.shell.displayhook.source, code
        try:
            result = self.shell.run_cell(code, store_history=False)
        finally:
            self.shell.displayhook.source = outer
        error = result.error_before_exec or result.error_in_exec
        if isinstance(error, NotebookExit | Cancelled | ToldAlready):
            raise error
        return failure(error, self.shell.trace) if error is not None else None


def failure(error: BaseException, trace: str = "") -> Failure:
    """An error with its traceback; the message without the JVM's stack, which the traceback keeps."""
    message = str(error).partition("\n\nJVM stacktrace:")[0].strip()
    name = type(error).__name__
    summary = f"{name}: {message}" if message else name
    return Failure(summary[:4000], trace or f"{name}: {error}", error)
