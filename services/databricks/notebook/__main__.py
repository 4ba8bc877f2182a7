"""`python -m services.databricks.notebook`: runs the notebook whose document comes on standard input.

`… --serve FD`: forks such processes, as server.py says, which need not import anything again.
Exit status 0: the run completed, and its last event says how it ended; 143: it was cancelled.
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
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from .document import Document
from .run import Result, Run
from .server import serve
from .shell import Cancelled, Interpreter

CANCEL_TIMEOUT = 4.0
"""Seconds from SIGTERM to the exit of the process, whatever the notebook does."""
CANCELLED = 128 + signal.SIGTERM


def main() -> NoReturn:
    """Run one notebook, or serve the workspace."""
    faulthandler.enable()
    interpreter = Interpreter()
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]), lambda: execute(interpreter))
    execute(interpreter)


def execute(interpreter: Interpreter) -> NoReturn:
    """Wait for the document, run the notebook, exit."""
    line = sys.stdin.buffer.readline()
    if not line.strip():
        os._exit(0)
    run = Run(Document.parse(line), interpreter)
    _leave_no_trace()
    _adopt_orphans()
    cancel = Cancel(run)
    signal.signal(signal.SIGTERM, cancel.on_signal)
    signal.signal(signal.SIGINT, cancel.on_signal)
    threading.Thread(target=cancel.watch_parent, args=(os.getppid(),), name="parent", daemon=True).start()
    try:
        result = run.execute()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except Cancelled:
        cancel.end()
    except BaseException as error:
        result = Result("FAILED", None, f"{type(error).__name__}: {error}", traceback.format_exc())
    run.finish(result)
    _exit(0)


class Cancel:
    """Cancels the run: on SIGTERM, and when the process that started it is gone."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._once = threading.Lock()
        self._ended = threading.Lock()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the notebook, wherever its main thread is."""
        if self._once.acquire(blocking=False):
            threading.Thread(target=self._interrupt_cluster, name="cancel", daemon=True).start()
            threading.Timer(CANCEL_TIMEOUT - 0.5, self.end).start()
        raise Cancelled

    def watch_parent(self, parent: int) -> None:
        """Cancel the run when the service that started it is gone: nobody would read its result."""
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    def end(self) -> NoReturn:
        """Emit the final event and exit. Later callers block until exit."""
        self._ended.acquire()
        threading.Timer(1.5, _exit, args=(CANCELLED,)).start()
        self._run.finish(Result("CANCELED", None, "The run was cancelled", None))
        _exit(CANCELLED)

    def _interrupt_cluster(self) -> None:
        self._run.dbutils.children.cancel()
        if self._run.spark is not None:
            self._run.spark.interruptAll()


def _leave_no_trace() -> None:
    """Hide this package, so that the notebook's imports find its own modules of the same names."""
    root = str(Path.cwd())
    sys.path[:] = [entry for entry in sys.path if entry not in ("", root)]
    for name in [name for name in sys.modules if name == "services" or name.startswith("services.")]:
        del sys.modules[name]


def _adopt_orphans() -> None:
    """On Linux, make processes that the notebook orphans children of this one, which kills them at its end."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


def _exit(status: int) -> NoReturn:
    """Exit at once, and kill the processes of the notebook."""
    with suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    os._exit(status)


if __name__ == "__main__":
    main()
