"""Forks a process for each run, so that what a notebook imports is imported once.

The workspace sends a byte with two file descriptors, the standard input and the output of a new process. Answers are
lines of JSON, `{"pid": 7}` for a new process (in the order in which they were asked for) and `{"pid": 7, "status": 0}`
for one that has ended, with the negative number of the signal that killed it.

macOS: its frameworks do not work in a process that was forked and executes nothing new, so there it does.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def serve(descriptor: int, run: Callable[[], object]) -> NoReturn:
    """Fork processes that call ``run`` and exit, until the other end of the socket ``descriptor`` is closed."""
    asked = socket.socket(fileno=descriptor)
    # A byte arrives here whenever a child has ended.
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    # What is there now stays shared between all processes: a collection would write to all of it.
    gc.collect()
    gc.freeze()
    while True:
        readable, _, _ = select.select([asked, woken], [], [])
        if woken in readable:
            woken.recv(4096)
            _report_ended(asked)
        if asked in readable:
            byte, descriptors, _, _ = socket.recv_fds(asked, 1, 2)
            if not byte:
                os._exit(0)
            pid = _start(descriptors, [asked, woken, wake], run)
            for each in descriptors:
                os.close(each)
            _tell(asked, {"pid": pid})


def die_with_parent() -> None:
    """On Linux, get SIGTERM when the process that started this one is gone, however it ended."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _start(descriptors: list[int], own: list[socket.socket], run: Callable[[], object]) -> int:
    given, output = descriptors
    if sys.platform == "darwin":
        command = [sys.executable, *sys.orig_argv[1 : sys.orig_argv.index("--serve")]]
        process = subprocess.Popen(command, stdin=given, stdout=output, stderr=output, start_new_session=True)
        process.returncode = 0  # it is waited for here
        return process.pid
    server = os.getpid()
    if pid := os.fork():
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in own:
            each.close()
        os.setsid()
        for number, descriptor in enumerate((given, output, output)):
            os.dup2(descriptor, number)
        os.close(given)
        os.close(output)
        die_with_parent()
        _draw_numbers_of_its_own()
        if os.getppid() == server:
            run()
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _draw_numbers_of_its_own() -> None:
    """Else every process would draw the same numbers: a generator's state is that of the server."""
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _report_ended(asked: socket.socket) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(asked, {"pid": ended[0], "status": os.waitstatus_to_exitcode(ended[1])})


def _tell(asked: socket.socket, message: dict[str, int]) -> None:
    try:
        asked.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        os._exit(0)  # nobody is there
