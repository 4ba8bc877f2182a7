"""What goes on while services are killed: people post, and a batch runs every minute."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

from foundation.profile import ROOT
from tests.faults.diary import Diary
from tests.stack import TestStack

CHUNK = 100
"""Posts of one emulator. A killed emulator's are posted again: what it had posted nobody knows for certain."""
GIVE_UP = 300
"""Seconds for which an emulator tries: two kills in a row are a longer outage than the default is meant for."""
_NOT_BEGUN = "error: database "
"""What an emulator says that finds no database at its start: nothing was posted, and it is started again."""
_LONGEST = 900.0
_POSTS = re.compile(r"([\d,]+) posts, ")


class People(threading.Thread):
    """One emulator after the other, each with the next posts in order, until `stop`.

    After that `position` posts, counted from the first row, have been posted, each once or more often.
    """

    def __init__(self, stack: TestStack, diary: Diary, way: str, start: int, rate: float) -> None:
        super().__init__(name=f"emulator {way}", daemon=True)
        self.position = start
        self.said = time.monotonic()
        self.failure = ""
        self._stack, self._diary, self._way, self._rate = stack, diary, way, rate
        self._ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The emulator that posts at this moment; ProcessLookupError between two of them."""
        if self._process is None or self._process.poll() is not None:
            raise ProcessLookupError(self.name)
        return self._process.pid

    def run(self) -> None:
        rate = str(self._rate)
        while not (self._ended.is_set() and rate != "max"):
            status, errors = self._post(self.position // CHUNK * CHUNK, rate)
            rate = str(self._rate)
            if status == -signal.SIGKILL:
                rate = "max"
            elif errors.startswith(_NOT_BEGUN) and time.monotonic() - self.said < GIVE_UP:
                rate = "max"
                time.sleep(1)
            elif status:
                self.failure = f"{self.name} from {self.position}: status {status}\n{errors}"
                self._diary.write("emulator failed", way=self._way, status=status, errors=errors)
                return

    def stop(self, timeout: float = 600) -> None:
        """Let it finish the posts in hand; AssertionError if a post was not delivered, or it takes too long."""
        self._ended.set()
        self.join(timeout)
        assert not self.is_alive(), f"{self.name}: still posting after {timeout} s\n{self._diary.history()}"
        assert not self.failure, f"{self.failure}\n{self._diary.history()}"
        self._at(self.position)

    def _post(self, start: int, rate: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "emulator", self._way, "--json", "--profile", str(self._stack.profile.path)]
        command += ["--order", "sequential", "--start", str(start), "--count", str(CHUNK), "--rate", rate]
        command += ["--give-up-after", str(GIVE_UP)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None and self._process.stdout is not None
        bound = threading.Timer(_LONGEST, self._process.kill)
        bound.start()
        errors = []
        for line in self._process.stderr:
            errors.append(line)
            if posts := _POSTS.match(line):
                self._at(start + int(posts[1].replace(",", "")))
            if "Traceback" in line:
                self._diary.write("traceback", of=self.name)
        output = self._process.stdout.read()
        status = self._process.wait()
        if bound.finished.is_set():
            return 1, f"killed after {_LONGEST} s: {''.join(errors)}"
        bound.cancel()
        if status == 0:
            summary = json.loads(output)
            if summary["posts"] != CHUNK or summary["failures"]:
                return 1, output
            self._at(start + CHUNK)
        elif status == -signal.SIGKILL:
            self.position = start
        self._diary.write("posted", way=self._way, start=start, status=status, said=errors[-3:])
        return status, "".join(errors)

    def _at(self, position: int) -> None:
        self.position, self.said = position, time.monotonic()


class Batches(threading.Thread):
    """`make batch` every minute, until `stop`. One that a kill hits may fail; it never shows a traceback."""

    EVERY = 60.0

    def __init__(self, stack: TestStack, diary: Diary) -> None:
        super().__init__(name="batches", daemon=True)
        self.failure = ""
        self._stack, self._diary, self._ended = stack, diary, threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                status, output = command(self._stack, "batch", timeout=420)
            except AssertionError as error:
                self.failure = self.failure or str(error)
                return
            seconds = round(time.monotonic() - began, 1)
            self._diary.write("batch", status=status, seconds=seconds, said=output.splitlines()[-4:])
            if "Traceback" in output:
                self.failure = self.failure or f"make batch shows a traceback:\n{output}"
            self._ended.wait(max(0.0, self.EVERY - seconds))

    def stop(self) -> None:
        """Wait for the batch in hand; AssertionError if one hung or showed a traceback."""
        self._ended.set()
        self.join(460)
        assert not self.is_alive(), f"make batch does not end\n{self._diary.history()}"
        assert not self.failure, f"{self.failure}\n{self._diary.history()}"


def command(stack: TestStack, *arguments: str, timeout: float) -> tuple[int, str]:
    """Status and output of a `pinflow` command; AssertionError when it takes longer."""
    environment = {**os.environ, "PROFILE": str(stack.profile.path), "RUNTIME": "native"}
    words = [sys.executable, "-m", "pinflow", *arguments]
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate(timeout=60)
            raise AssertionError(f"pinflow {' '.join(arguments)}: no end after {timeout} s\n{output}") from None
    return process.returncode, output
