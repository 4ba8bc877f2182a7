"""One run: cells from first to last, the result, and nothing left behind."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyspark.sql import functions

from ..driver_lost import MESSAGE
from . import compat, filesystem, java_errors, magics, modules, session, widgets
from .api import Control
from .capture import Capture
from .context import ReplContext
from .dbutils import DBUtils
from .display import Display
from .document import Document
from .events import EXIT_VALUE, Events
from .format import Cell, NotANotebook
from .local_paths import Dbfs, OnDisk, dbfs_path
from .pip import Pip
from .shell import AlreadyReported, Cancelled, Failure, Interpreter, NotebookExit, failure
from .streams import Streams
from .workspace import NotebookNotFound, Workspace

SCRATCH, LIBRARIES = "scratch", "libraries"
"""Directories in the run's output while it runs: open files of /dbfs, and what %pip installed."""


@dataclass(frozen=True)
class Result:
    """How a run ended. `state` is SUCCESS, FAILED or CANCELED; `value` is that of dbutils.notebook.exit."""

    state: str
    value: str | None = None
    error: str | None = None
    trace: str | None = None


class Run:
    """A notebook, its session and its namespace."""

    def __init__(self, document: Document, interpreter: Interpreter) -> None:
        self.document, self._interpreter = document, interpreter
        self.events = Events(document.output)
        self.capture = Capture(self.events)
        self.streams = Streams(lambda: self.events.cell)
        self._workspace = Workspace(document.workspace_root)
        self._display = Display(self.events, self.capture.drain)
        self.dbutils = DBUtils(document, self.events, self._workspace, self._display.display)
        self.spark: Any = None
        self._magics: magics.Magics
        self._reported: Result
        self._included = [document.notebook_path]
        interpreter.connect(self.events, self.capture.drain)

    def execute(self) -> Result:
        """Run the cells up to the first that fails. Raises Cancelled."""
        self.capture.start()
        try:
            cells = self._workspace.cells(self.document.notebook_path)
        except (NotebookNotFound, NotANotebook) as error:
            self.events.emit("notebook", path=self.document.notebook_path, cells=[])
            return self._report(failure(error), 0)
        shown = [{"n": c.n, "language": c.language, "title": c.title, "source": c.source} for c in cells]
        self.events.emit("notebook", path=self.document.notebook_path, cells=shown)
        try:
            self._prepare()
        except Exception as error:
            return self._report(failure(error, traceback.format_exc()), 0, "before the first cell")
        result = next((result for cell in cells if (result := self._top_cell(cell))), Result("SUCCESS"))
        return self._with_streams(result)

    def finish(self, result: Result) -> None:
        """Stop what the notebook left running on the cluster, then emit the last event."""
        stopped: list[str] = []
        if self.spark is not None:
            try:
                stopped = self.streams.stop(self.spark)
                self.spark.client.release_session()
            except Exception as error:
                self.events.emit("stream", text=f"streams of this run could not be stopped: {failure(error).summary}")
        if stopped:
            self.events.emit("stream", stopped=stopped)
        self.capture.drain(last=True)
        for name in (SCRATCH, LIBRARIES):
            shutil.rmtree(self.document.output / name, ignore_errors=True)
        value = result.value
        truncated = value is not None and len(value) > EXIT_VALUE
        self.events.emit(
            "result",
            result_state=result.state,
            notebook_output={"result": value[:EXIT_VALUE] if value is not None else None, "truncated": truncated},
            error=result.error,
            error_trace=result.trace,
        )

    def include(self, line: str) -> None:
        """`%run ./notebook $name="value"`: run its cells in this namespace. Raises AlreadyReported if one fails."""
        target, parameters = _run_arguments(shlex.split(line, comments=True))
        path = self._workspace.absolute(target, self._included[-1])
        if path in self._included:
            raise RecursionError(f"%run {target}: {path} includes itself: {' -> '.join(self._included)}")
        cells = self._workspace.cells(path)
        widgets.give(self.dbutils.widgets, parameters)
        self._included.append(path)
        try:
            with self._interpreter.within(path):
                for cell in cells:
                    if failed := self._cell(cell):
                        self._report(failed, self.events.cell, f"{path}, cell {cell.n}")
                        raise AlreadyReported
        finally:
            self._included.pop()

    def _prepare(self) -> None:
        document, namespace = self.document, self._interpreter.namespace
        os.chdir(self._workspace.notebook(document.notebook_path).parent)
        sys.path[:0] = self._workspace.import_path(document.notebook_path)
        self._workspace.import_from_workspace_paths()
        on_disk, dbfs = OnDisk(self._workspace, Path.cwd()), Dbfs(Control(document), document.output / SCRATCH)
        compat.route_paths(dbfs_path, dbfs, on_disk.path)
        compat.forget_builtin_open(namespace)
        compat.refuse_input()
        self.dbutils.fs.url = on_disk.url
        self.spark = session.connect(document, on_disk.url)
        compat.watch_streams(self.streams)
        compat.add_display(self._display.display)
        self.events.emit("session", session_id=self.spark.session_id, user_id=document.user)
        names = self._names()
        namespace.update(names, exit=sys.exit, quit=sys.exit)

        def local(word: str) -> str:
            return str(dbfs.fetch(found)) if (found := dbfs_path(word)) else str(on_disk.path(word))

        pip = Pip(document.output / LIBRARIES, local)
        self._magics = magics.Magics(self.spark, self.dbutils, self._display.display, pip, self.include, namespace)
        magics.register(self._interpreter.shell, self._magics)
        classes = {
            "FileInfo": filesystem.FileInfo,
            "MountInfo": filesystem.MountInfo,
            "ExecutionError": java_errors.ExecutionError,
        }
        modules.install(names, self.dbutils, ReplContext(document), classes, self.spark)

    def _names(self) -> dict[str, Any]:
        """What a notebook knows without importing, as databricks.sdk.runtime lists it."""
        return {
            "spark": self.spark,
            "sc": session.NoSparkContext("sc"),
            "sqlContext": session.NoSparkContext("sqlContext", self.spark),
            "dbutils": self.dbutils,
            "display": self._display.display,
            "displayHTML": self._display.html,
            "sql": self.spark.sql,
            "table": self.spark.table,
            "udf": functions.udf,
            "getArgument": self.dbutils.widgets.getArgument,
        }

    def _top_cell(self, cell: Cell) -> Result | None:
        """Run a cell of the run's own notebook; None if the notebook continues."""
        self.events.start_cell(cell.n, language=cell.language, title=cell.title)
        started, status, result = time.monotonic(), "ok", None
        try:
            if failed := self._cell(cell):
                result = self._report(failed, cell.n, f"in cell {cell.n}")
            with suppress(Exception):  # if the cluster does not answer, the next cell reports it
                self.streams.note()
        except NotebookExit as ending:
            status, result = "exit", Result("SUCCESS", ending.value)
        except AlreadyReported:
            result = self._reported
        except Cancelled:
            status = "cancelled"
            raise
        finally:
            self.capture.drain()
            if result is not None and result.state == "FAILED":
                status = "error"
            seconds = round(time.monotonic() - started, 3)
            self.events.emit("cell_end", cell=cell.n, status=status, seconds=seconds)
        return result

    def _with_streams(self, result: Result) -> Result:
        """A run whose cells succeeded fails with its first stream that failed; each failure is shown at its cell."""
        try:
            if result.state == "SUCCESS":
                self.streams.await_first_rows()
            failed = self.streams.failed()
        except Exception as error:
            if result.state != "SUCCESS":
                return result
            return self._report(failure(error, traceback.format_exc()), 0, "while its streams ran")
        for number, exception in failed:
            whole = failure(exception)
            reported = self._report(replace(whole, summary=whole.summary.partition("\n")[0]), number)
            result = reported if result.state == "SUCCESS" else result
        return result

    def _cell(self, cell: Cell) -> Failure | None:
        """Run a cell in its language. Raises NotebookExit, Cancelled and AlreadyReported."""
        if cell.language == "python":
            return self._interpreter.run(cell.code, cell.n)
        try:
            self._magics.run(cell.language, cell.code)
        except AlreadyReported:
            raise
        except Exception as error:
            return failure(error)
        return None

    def _report(self, failed: Failure, cell: int, where: str = "") -> Result:
        """Emit a failure; in plain words if the cluster was lost."""
        summary, trace = failed.summary, failed.trace
        if session.lost(failed.error):
            summary = MESSAGE.format(remote=self.document.remote, where=where)
            trace = f"{summary}\n\n{trace}"
        self.capture.drain()
        self.events.emit("error", cell=cell, summary=summary, ename=type(failed.error).__name__, traceback=trace)
        self._reported = Result("FAILED", None, summary, trace)
        return self._reported


def _run_arguments(words: list[str]) -> tuple[str, dict[str, str]]:
    """`./my notebook $a=1 $b="two words"`: the path may contain spaces without quotes."""
    path: list[str] = []
    parameters: dict[str, str] = {}
    for word in words:
        if found := re.match(r"\$([\w.-]+)=(.*)\Z", word, re.DOTALL):
            parameters[found[1]] = found[2]
        elif not parameters:
            path.append(word)
    return " ".join(path), parameters
