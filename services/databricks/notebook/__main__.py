"""`python -m services.databricks.notebook`: imports all it needs, then waits for its document on standard input.

A process that is started early has its imports behind it when a run comes: that is seconds less to wait.
Exit status 0: the run was carried through, and its last event says how it ended; 143: it was cancelled.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil

from .document import Document
from .run import Result, Run
from .shell import Cancelled, Interpreter

CANCEL_PATIENCE = 4.0
"""Seconds from SIGTERM to the end of the process, whatever the notebook does."""
CANCELLED = 128 + signal.SIGTERM


def main() -> NoReturn:
    """Wait, run, end."""
    faulthandler.enable()
    interpreter = Interpreter()
    line = sys.stdin.buffer.readline()
    if not line.strip():
        os._exit(0)
    run = Run(Document.parse(line), interpreter)
    _leave_no_trace()
    _adopt_orphans()
    parent = os.getppid()
    cancel = Cancel(run)
    signal.signal(signal.SIGTERM, cancel.on_signal)
    signal.signal(signal.SIGINT, cancel.on_signal)
    threading.Thread(target=cancel.watch_parent, args=(parent,), name="parent", daemon=True).start()
    try:
        result = run.carry_out()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except Cancelled:
        cancel.end()
    except BaseException as error:
        result = Result("FAILED", None, f"{type(error).__name__}: {error}", traceback.format_exc())
    run.finish(result)
    _end(0)


class Cancel:
    """Ends a run from outside: on SIGTERM, and when the process that started it is gone."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._once = threading.Lock()
        self._ended = threading.Lock()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """In the main thread: the notebook is interrupted wherever it is."""
        if self._once.acquire(blocking=False):
            threading.Thread(target=self._interrupt_cluster, name="cancel", daemon=True).start()
            threading.Timer(CANCEL_PATIENCE - 0.5, self.end).start()
        raise Cancelled

    def watch_parent(self, parent: int) -> None:
        """A run belongs to the service that started it; without that nobody would ever read its result."""
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    def end(self) -> NoReturn:
        """The last event, and the end of the process. Whoever comes second waits for the end."""
        self._ended.acquire()
        threading.Timer(1.5, _end, args=(CANCELLED,)).start()
        self._run.finish(Result("CANCELED", None, "The run was cancelled", None))
        _end(CANCELLED)

    def _interrupt_cluster(self) -> None:
        self._run.dbutils.children.cancel()
        if self._run.spark is not None:
            self._run.spark.interruptAll()


def _leave_no_trace() -> None:
    """The notebook's imports find its own modules: this package's folder and names are not in its way."""
    root = str(Path.cwd())
    sys.path[:] = [entry for entry in sys.path if entry not in ("", root)]
    for name in [name for name in sys.modules if name == "services" or name.startswith("services.")]:
        del sys.modules[name]


def _adopt_orphans() -> None:
    """On Linux processes that a notebook leaves behind become children of this one, which then ends them."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _end(status: int) -> NoReturn:
    """End at once, threads and processes of the notebook included."""
    for process in _children():
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    os._exit(status)


def _children() -> list[Any]:
    try:
        return list(psutil.Process().children(recursive=True))
    except psutil.Error:
        return []


if __name__ == "__main__":
    main()
