"""One process that a test starts, looks at and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil

from tests.servers.waiting import Hopeless, wait_for


class ServerProcess:
    """A server in a session of its own, with its output in a file. A subclass says what to run and when it is ready."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """What is added to the environment of the tests."""
        return {}

    def is_ready(self) -> object:
        """True once it can be used; an error is the last thing seen."""
        raise NotImplementedError

    def launch(self, output: int | IO[bytes] | None = None, directory: Path | None = None) -> None:
        """Start the process without waiting for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env={**os.environ, **self.environment()},
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output or log,
                stderr=output or log,
                start_new_session=True,
            )

    def wait_until_ready(self, timeout: float = 90) -> float:
        """Wait until it can be used; returns the seconds that this took. Fails with its log once it has exited."""
        began = time.monotonic()

        def ready() -> object:
            if not self.is_alive():
                raise Hopeless(f"{type(self).__name__} exited with {self.process and self.process.returncode}")
            return self.is_ready()

        try:
            wait_for(f"{type(self).__name__} to be ready", ready, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.printed()[-4000:]}") from None
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def printed(self) -> str:
        """All that it has written to its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def processes(self) -> list[psutil.Process]:
        """It and everything that it has started."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def stop(self, number: int = signal.SIGTERM, timeout: float = 40) -> float:
        """Send a signal to the process itself; returns the seconds until it and its children are gone.

        Fails where they are not gone after ``timeout`` seconds. Nothing happens where it does not run.
        """
        began = time.monotonic()
        if self.is_alive():
            assert self.process is not None
            processes = self.processes()
            os.kill(self.pid, number)
            self.process.wait(timeout)
            wait_for("all its processes to be gone", lambda: not any(map(runs, processes)), timeout, every=0.02)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL for the process itself; what it has started may live on."""
        if self.is_alive():
            assert self.process is not None
            self.process.kill()
            self.process.wait()

    def kill_all(self) -> None:
        """SIGKILL for the process and everything that it has started, as `docker kill` does."""
        assert self.process is not None
        kill_all(self.process)


def kill_all(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for a process and everything that it has started in one moment; returns when they are dead."""
    root = psutil.Process(process.pid)
    processes = [root, *root.children(recursive=True)]
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.suspend()  # or one that sees the end of another would still act on it
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait(30)
    wait_for("all its processes to be gone", lambda: not any(map(runs, processes)), 30, every=0.02)


def runs(process: psutil.Process) -> bool:
    """Not once it has exited: where nobody reaps an orphan, its entry in the process list stays for ever."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
