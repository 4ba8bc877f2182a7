"""Notebook processes: started ahead, one run each, and reliably ended.

Each leads its own process group (and session), so that what a notebook starts ends with it.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil

log = logging.getLogger(__name__)

# Seconds between SIGTERM, after which a notebook interrupts its work on the cluster, and SIGKILL.
GRACE = 5.0
# Seconds that a run has the processors to itself (the time of an empty notebook) before the next process starts.
_HEAD_START = 0.5
_TAIL = 64 * 1024
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class NotebookProcess:
    """One process that waits for the document of its run on stdin."""

    def __init__(self, process: asyncio.subprocess.Process, output: int) -> None:
        self._process = process
        self._said = bytearray()
        self._listening = asyncio.create_task(self._listen(output))
        self.pid = process.pid
        self.started = _start_time(process.pid)

    @classmethod
    async def start(cls, command: Sequence[str]) -> NotebookProcess:
        """Start one; raises OSError if the command cannot be executed."""
        # A notebook must not see other services' tokens and keys; its own secrets come through stdin.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PINFLOW_")}
        # Not asyncio's pipe: with it, wait() would block until every command that a notebook left in the background
        # has closed it too.
        output, its_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=its_end,
                stderr=its_end,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError:
            os.close(output)
            raise
        finally:
            os.close(its_end)
        return cls(process, output)

    @property
    def alive(self) -> bool:
        """Whether it has not exited."""
        return self._process.returncode is None

    @property
    def said(self) -> str:
        """The last 64 kB that it wrote to its own stdout and stderr, outside of any cell."""
        return self._said.decode("utf-8", "replace").strip()

    async def give(self, document: Mapping[str, Any]) -> None:
        """Send its run to it; raises OSError if it is dead."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document).encode() + b"\n")
        await self._process.stdin.drain()
        self._process.stdin.close()

    async def wait(self) -> int:
        """Its exit status; kills what is left of its group."""
        status = await self._process.wait()
        _kill_group(self.pid)
        await asyncio.wait({self._listening}, timeout=1)
        self._listening.cancel()
        return status

    async def stop(self, grace: float = GRACE) -> None:
        """SIGTERM to the process, and SIGKILL to its whole group after ``grace`` seconds; returns when it is gone."""
        if self.alive:
            # Only the leader: it ends its commands itself, and the rest of the group gets SIGKILL.
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), grace)
            except TimeoutError:
                _kill_group(self.pid)
        await self.wait()

    async def _listen(self, output: int) -> None:
        stream = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(output, "rb")
        )
        try:
            while chunk := await stream.read(_TAIL):
                self._said += chunk
                del self._said[:-_TAIL]
        finally:
            pipe.close()


class Processes:
    """Hands out notebook processes, at most ``limit`` at a time, and keeps one ready."""

    def __init__(self, command: Sequence[str], limit: int) -> None:
        self._command = command
        self._ready: NotebookProcess | None = None
        self._starting: asyncio.Task[None] | None = None
        self._closed = False
        self.slots = asyncio.Semaphore(limit)

    def warm_up(self) -> None:
        """Start a process ahead, unless one is ready; returns at once."""
        starting = self._starting is not None and not self._starting.done()
        ready = self._ready is not None and self._ready.alive
        if not (starting or ready or self._closed):
            self._starting = asyncio.create_task(self._start_ahead())

    async def take(self, document: Mapping[str, Any]) -> NotebookProcess:
        """A process that has its run; raises OSError if none can be started."""
        ready, self._ready = self._ready, None
        asyncio.get_running_loop().call_later(_HEAD_START, self.warm_up)
        if ready is not None and ready.alive:
            try:
                await ready.give(document)
                return ready
            except OSError:
                await ready.stop(grace=0)
        fresh = await NotebookProcess.start(self._command)
        await fresh.give(document)
        return fresh

    async def close(self) -> None:
        """End the process that is ready."""
        self._closed = True
        if self._starting is not None:
            await self._starting
        if self._ready is not None:
            await self._ready.stop(grace=1)

    async def _start_ahead(self) -> None:
        try:
            self._ready = await NotebookProcess.start(self._command)
        except OSError as error:
            log.error("no notebook process could be started: %s", error)


async def end_orphan(pid: int, started: float, grace: float = GRACE) -> None:
    """End a notebook process, and its group, that a killed workspace left behind."""
    if abs(_start_time(pid) - started) > 1 and _start_time(pid):
        return  # the number belongs to another process by now
    deadline = asyncio.get_running_loop().time() + grace
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)
    while _start_time(pid) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    _kill_group(pid)


def _start_time(pid: int) -> float:
    """When the process started (seconds since the epoch); 0 if it does not exist or is a zombie."""
    try:
        process = psutil.Process(pid)
        return 0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return 0


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _die_with_parent() -> None:
    """Runs in the child before exec: a notebook must not outlive a killed workspace (Linux).

    Elsewhere a waiting process sees the end of its stdin, and the workspace's next start ends a running one.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
