"""How long after a kill the service can be used again, and how long until all that was posted is there."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from statistics import median

import psutil

from foundation.errors import PinflowError
from foundation.service import Service
from pinflow.stack.native import NativeStack
from tests.faults import reckoning
from tests.faults.diary import Diary
from tests.faults.lot import SERVICES, VICTIMS
from tests.faults.people import People
from tests.stack import TestStack


@dataclass
class Kill:
    """What was killed together, and when (monotonic time).

    ready  seconds from the kill until each victim could be used again
    there  seconds until all services were ready, and everything that was posted up to the kill, and what an emulator
           next said that it had posted, was in S3 and in the streams' tables
    """

    at: float
    pids: dict[str, int]
    targets: dict[str, int] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    there: float | None = None

    @property
    def over(self) -> bool:
        """Whether both are known."""
        return self.there is not None and len(self.ready) == len(self.pids)


class Watch(threading.Thread):
    """Looks at the stack again and again, and writes down what changes."""

    EVERY = 1.0

    def __init__(self, stack: TestStack, diary: Diary) -> None:
        super().__init__(name="watch", daemon=True)
        self.kills: list[Kill] = []
        self.people: dict[str, People] = {}
        self.states: dict[str, str] = {}
        self._stack, self._diary = stack, diary
        self._native = NativeStack(stack.profile)
        self._ended = threading.Event()

    def run(self) -> None:
        with ThreadPoolExecutor() as pool:
            while not self._ended.wait(self.EVERY):
                try:
                    self._look_at_all(pool)
                except Exception as error:  # the test goes on, and its waits say what is missing
                    self._diary.write("watch failed", error=repr(error))

    def _look_at_all(self, pool: ThreadPoolExecutor) -> None:
        services = self._native.services
        states = dict(zip((s.name for s in services), pool.map(self._state, services), strict=True))
        now = time.monotonic()
        changed = {name: state for name, state in states.items() if state != self.states.get(name)}
        self.states = states
        if changed:
            self._diary.write("services", **changed)
        for number, kill in enumerate(self.kills, 1):
            if not kill.over:
                self._look(number, kill, now)

    def stop(self) -> None:
        self._ended.set()
        self.join(60)

    def pid(self, victim: str) -> int:
        """The victim's process; ProcessLookupError (or the like) while there is none."""
        if victim == "supervisord":
            return int((self._stack.profile.home / "supervisor" / "supervisord.pid").read_text())
        if victim == "notebook":
            return notebook(self._stack)
        if victim in SERVICES:
            return self._stack.pid(victim)
        return self.people[victim].pid

    def kill(self, victims: Iterable[str]) -> None:
        """SIGKILL to all of them, as soon as each is there, at one moment; AssertionError if one is not in 120 s."""
        pids, deadline = {}, time.monotonic() + 120
        while True:
            failures = [people.failure for people in self.people.values() if people.failure]
            assert not failures, f"{failures[0]}\n{self._diary.history()}"
            try:
                pids = {victim: self._living(victim) for victim in victims}
                break
            except (OSError, ValueError, LookupError, psutil.Error, sqlite3.Error) as error:
                assert time.monotonic() < deadline, (
                    f"no process to kill after 120 s: {error!r}\n{self._diary.history()}"
                )
                time.sleep(0.1)
        for pid in pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills.append(Kill(time.monotonic(), pids))
        self._diary.write("killed", victims=list(pids), pids=list(pids.values()))

    def pending(self) -> str:
        """Which kills are not over, and why; empty when all are."""
        late = []
        for number, kill in enumerate(self.kills, 1):
            if not kill.over:
                away = [victim for victim in kill.pids if victim not in kill.ready]
                not_there = "" if kill.there else f"not all there of {kill.targets}"
                late.append(f"kill {number} ({', '.join(kill.pids)}): away: {away}; {not_there}")
        unready = {name: state for name, state in self.states.items() if state}
        return "; ".join([*late, *([f"services: {unready}"] if late and unready else [])])

    def _living(self, victim: str) -> int:
        pid = self.pid(victim)
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            raise ProcessLookupError(victim)
        return pid

    def _state(self, service: Service) -> str:
        """Empty for a service that can be used; else what it lacks, in the words of `make status`."""
        try:
            if not self._native.running(service.name):
                return "no process"
            self._native.probe(service)
        except (PinflowError, OSError) as error:
            return str(error).splitlines()[0]
        return ""

    def _look(self, number: int, kill: Kill, now: float) -> None:
        for victim, before in kill.pids.items():
            if victim not in kill.ready and self._back(victim, before, kill.at):
                kill.ready[victim] = round(now - kill.at, 1)
                self._diary.write("ready again", kill=number, victim=victim, seconds=kill.ready[victim])
        for name, people in self.people.items():
            if people.said > kill.at:
                kill.targets.setdefault(name, people.position)
        if kill.there is None and len(kill.targets) == len(self.people) and not any(self.states.values()):
            batch, stream = kill.targets["emulator batch"], kill.targets["emulator stream"]
            if _sure(reckoning.newest_in_stream_tables, self._stack) >= stream - 1 and (
                _sure(reckoning.newest_in_s3, self._stack) >= batch - 1
            ):
                kill.there = round(time.monotonic() - kill.at, 1)
                self._diary.write("all there", kill=number, victims=list(kill.pids), seconds=kill.there)

    def _back(self, victim: str, before: int, killed: float) -> bool:
        if victim in self.people:
            return self.people[victim].said > killed
        try:
            if self._living(victim) == before:
                return False
        except (OSError, ValueError, LookupError, psutil.Error, sqlite3.Error):
            return False
        if victim == "supervisord":
            return not any(self.states.values())
        return victim == "notebook" or not self.states[victim]


def notebook(stack: TestStack) -> int:
    """The process that holds the three queries, as the workspace wrote it down; LookupError if none runs."""
    file = stack.profile.home / "databricks" / "workspace.sqlite"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as connection:
        found = connection.execute("select pid from runs where task_key = 'streams' and life = 'RUNNING'").fetchall()
    if not found or found[-1][0] is None:
        raise LookupError("the streams' notebook does not run")
    return int(found[-1][0])


def table(kills: list[Kill]) -> str:
    """The times by victim, median and worst, as Markdown."""
    lines = ["| killed | times | usable again | worst | all there | worst |", "|---|--:|--:|--:|--:|--:|"]
    for victim in VICTIMS:
        hit = [kill for kill in kills if victim in kill.pids]
        if hit:
            ready = [kill.ready[victim] for kill in hit]
            there = [kill.there for kill in hit if kill.there is not None]
            times = " | ".join(f"{seconds:.0f} s" for seconds in (median(ready), max(ready), median(there), max(there)))
            lines.append(f"| {victim} | {len(hit)} | {times} |")
    return "\n".join(lines)


def _sure(look: Callable[[TestStack], int], stack: TestStack) -> int:
    """-1 where it cannot be seen at this moment."""
    try:
        return look(stack)
    except Exception:
        return -1
