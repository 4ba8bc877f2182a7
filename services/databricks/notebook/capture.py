"""Everything that a run prints, also by os.write and by processes that it starts: descriptors 1 and 2 are pipes."""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import sys
import threading
import time
from typing import TextIO

from .events import Events

STREAMS = {"stdout": 1, "stderr": 2}
PIPE = 1 << 20
"""Bytes that a pipe holds until the printing process has to wait."""
RETRY_SECONDS = 1.0


class Capture:
    """Reads both pipes and makes events of them. One reader at a time: the thread, or whoever calls `drain`."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._readers: dict[int, str] = {}
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._missing = ""

    def start(self) -> None:
        """Take over descriptors 0, 1 and 2: nothing to read, and two pipes to write to."""
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
            setattr(sys, name, self._stream(descriptor))
        threading.Thread(target=self._read_forever, name="output", daemon=True).start()

    def drain(self, last: bool = False) -> None:
        """What was printed so far is an event when this returns, unless a process prints without end."""
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

    def _stream(self, descriptor: int) -> TextIO:
        return open(descriptor, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)

    def _read_forever(self) -> None:
        while True:
            try:
                select.select(list(self._readers), [], [])
                with self._lock:
                    self._read()
            except Exception as error:
                # Whatever it was (a full disk): without a reader the notebook stops as soon as a pipe is full. Not by
                # foundation/supervised.py, whose log would go into the very pipes that are read here.
                self._missing = f"{type(error).__name__}: {error}"
                time.sleep(RETRY_SECONDS)
            # Small prints come together into one event, and a busy notebook keeps the interpreter for itself.
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
