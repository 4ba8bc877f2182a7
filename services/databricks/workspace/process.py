"""Notebook processes: forked by one server, one run each, and reliably ended.

Each leads its own process group (and session), so that what a notebook starts ends with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil

from services.databricks.notebook.server import die_with_parent

log = logging.getLogger(__name__)

# Seconds between SIGTERM, after which a notebook interrupts its work on the cluster, and SIGKILL.
GRACE = 5.0
_TAIL = 64 * 1024

Forked = tuple[int, asyncio.Future[int]]
"""A process id, and the process's exit status once it has ended."""


class Output:
    """What a process writes to its own stdout and stderr."""

    def __init__(self, pipe: int) -> None:
        self._said = bytearray()
        self._listening = asyncio.create_task(self._listen(pipe))

    @property
    def said(self) -> str:
        """The last 64 kB."""
        return self._said.decode("utf-8", "replace").strip()

    async def end(self) -> None:
        """Take what is still in the pipe; commands left in the background may hold it open for ever."""
        await asyncio.wait({self._listening}, timeout=1)
        self._listening.cancel()

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


class NotebookProcess:
    """One process with its run."""

    def __init__(self, pid: int, output: Output, status: asyncio.Future[int]) -> None:
        self.pid = pid
        self.started = _start_time(pid)
        self._output, self._status = output, status

    @property
    def said(self) -> str:
        """The last 64 kB that it wrote to its own stdout and stderr, outside of any cell."""
        return self._output.said

    async def wait(self) -> int:
        """Its exit status; kills what is left of its group."""
        status = await asyncio.shield(self._status)
        _kill_group(self.pid)
        await self._output.end()
        return status

    async def stop(self, grace: float = GRACE) -> None:
        """SIGTERM to the process, and SIGKILL to its whole group after ``grace`` seconds; returns when it is gone."""
        if not self._status.done():
            # Only the leader: it ends its commands itself, and the rest of the group gets SIGKILL.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.shield(self._status), grace)
            except TimeoutError:
                _kill_group(self.pid)
        await self.wait()


class Server:
    """The process that forks notebook processes: services/databricks/notebook/server.py."""

    def __init__(self, process: asyncio.subprocess.Process, asking: socket.socket, output: int) -> None:
        self._process, self._asking, self._output = process, asking, Output(output)
        self._asked: deque[asyncio.Future[Forked]] = deque()
        self._running: dict[int, asyncio.Future[int]] = {}
        self.alive = True
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, command: Sequence[str]) -> Server:
        """Start one; raises OSError if the command cannot be executed."""
        # A notebook must not see other services' tokens and keys; its own secrets come through stdin.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PINFLOW_")}
        ours, its = socket.socketpair()
        output, its_output = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *("--serve", str(its.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=its_output,
                stderr=its_output,
                pass_fds=(its.fileno(),),
                env=environment,
                start_new_session=True,
                # Elsewhere than on Linux it sees the end of its socket, and the workspace's next start ends what runs.
                preexec_fn=die_with_parent,
            )
        except OSError:
            ours.close()
            os.close(output)
            raise
        finally:
            its.close()
            os.close(its_output)
        return cls(process, ours, output)

    async def fork(self, document: Mapping[str, Any]) -> NotebookProcess:
        """A process that has its run; raises OSError if the server is gone."""
        given, writes = os.pipe()
        reads, output = os.pipe()
        said = Output(reads)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writes, "wb"))
        forked: asyncio.Future[Forked] = loop.create_future()
        try:
            socket.send_fds(self._asking, [b"+"], [given, output])
            self._asked.append(forked)
            transport.write(json.dumps(document).encode() + b"\n")
        finally:
            transport.close()
            os.close(given)
            os.close(output)
        pid, status = await forked
        return NotebookProcess(pid, said, status)

    async def close(self) -> None:
        """End it; returns when it is gone."""
        with suppress(OSError):
            self._asking.shutdown(socket.SHUT_RDWR)
        await self._reading

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        self._asking.setblocking(False)
        lines = b""
        try:
            while chunk := await loop.sock_recv(self._asking, 4096):
                *whole, lines = (lines + chunk).split(b"\n")
                for line in whole:
                    self._note(**json.loads(line))
        except OSError as error:
            log.warning("the server of notebook processes: %s", error)
        finally:
            await self._end()

    def _note(self, pid: int, status: int | None = None) -> None:
        if status is not None:
            self._running.pop(pid).set_result(status)
            return
        self._running[pid] = asyncio.get_running_loop().create_future()
        self._asked.popleft().set_result((pid, self._running[pid]))

    async def _end(self) -> None:
        self.alive = False
        status = await self._process.wait()
        await self._output.end()
        self._asking.close()
        for forked in self._asked:
            forked.set_exception(OSError(f"their server exited with status {status}: {self._output.said}"))
        # On Linux they end with it, elsewhere they see its end themselves.
        for ended in self._running.values():
            ended.set_result(-signal.SIGKILL)


class Processes:
    """Starts notebook processes, at most ``limit`` at a time."""

    def __init__(self, command: Sequence[str], limit: int) -> None:
        self._command = command
        self._server: asyncio.Task[Server] | None = None
        self.slots = asyncio.Semaphore(limit)

    def open(self) -> asyncio.Task[Server]:
        """Start the server, unless it runs; returns at once."""
        if self._server is None or not _serves(self._server):
            self._server = asyncio.create_task(Server.start(self._command))
        return self._server

    async def take(self, document: Mapping[str, Any]) -> NotebookProcess:
        """A process that has its run; raises OSError if none can be started."""
        server = await asyncio.shield(self.open())
        return await server.fork(document)

    async def close(self) -> None:
        """End the server."""
        if self._server is not None:
            with suppress(OSError):
                await (await self._server).close()


def _serves(starting: asyncio.Task[Server]) -> bool:
    return not starting.done() or (starting.exception() is None and starting.result().alive)


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
