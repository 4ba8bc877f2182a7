"""Captures everything that a run prints, also by os.write and in child processes: descriptors 1 and 2 are pipes."""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import sys
import threading
import time

from .events import Events

STREAMS = {"stdout": 1, "stderr": 2}
PIPE = 1 << 20
"""Bytes that a pipe holds until the printing process has to wait."""
RETRY_SECONDS = 1.0


class Capture:
    """Turns what comes through both pipes into events. One reader at a time: the thread, or the caller of `drain`."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._readers: dict[int, str] = {}
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._missing = ""

    def start(self) -> None:
        """Replace descriptors 0, 1 and 2: an empty input and two pipes."""
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        for name, descriptor in STREAMS.items():
            reader, writer = os.pipe()
            os.dup2(writer, descriptor)
            os.close(writer)
            os.set_blocking(reader, False)
            if sys.platform == "linux":
                fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE)
            self._readers[reader] = name
            self._decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
            stream = open(descriptor, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        threading.Thread(target=self._read_forever, name="output", daemon=True).start()

    def drain(self, last: bool = False) -> None:
        """Emit everything printed so far; gives up after 2 s, when a process prints endlessly."""
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
        deadline = time.monotonic() + 2
        with self._lock:
            while self._read() and time.monotonic() < deadline:
                pass
            if last:
                for name in STREAMS:
                    self._events.text(name, self._decoders[name].decode(b"", final=True), last=True)

    def _read_forever(self) -> None:
        while True:
            try:
                select.select(list(self._readers), [], [])
                with self._lock:
                    self._read()
            except Exception as error:
                # Continue after any error (a full disk): without a reader the notebook blocks once a pipe is full.
                # Not with foundation/supervised.py, whose log would go into the pipes that are read here.
                self._missing = f"{type(error).__name__}: {error}"
                time.sleep(RETRY_SECONDS)
            # Many small prints become one event, and a busy notebook keeps the interpreter.
            time.sleep(0.02)

    def _read(self) -> int:
        """Bytes read from both pipes, 0 if there are none."""
        if self._missing:
            self._events.text("stderr", f"\n*** Output is missing here, it could not be kept: {self._missing} ***\n")
            self._missing = ""
        size = 0
        for reader in select.select(list(self._readers), [], [], 0)[0]:
            try:
                data = os.read(reader, PIPE)
            except BlockingIOError:
                continue
            name = self._readers[reader]
            self._events.text(name, self._decoders[name].decode(data))
            size += len(data)
        return size
