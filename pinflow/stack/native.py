"""The stack without Docker: services side by side as far as their needs allow, with a bound on every wait."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil

from pinflow.errors import NotReady, PinflowError, ProfileError
from pinflow.profile import ROOT, Profile
from pinflow.stack import preflight
from pinflow.stack.launch import service as definition
from pinflow.stack.service import Service
from pinflow.stack.supervision import Process, Supervision

Say = Callable[[str], None]

_PROBE_EVERY = 0.2
_REPEAT_WAITING_LINE_AFTER = 10.0


@dataclass(frozen=True)
class Health:
    """One line of `make status`: what a service is, whether it can be used, and what it costs.

    state is what was seen just now: ready, starting, stopped, failed; detail says why it is not ready, or what else a
    person must know.
    memory is the proportional set size of the process and its children, in bytes; seconds since its start.
    """

    name: str
    title: str
    stand_in: bool
    state: str
    detail: str
    pid: int
    memory: int
    seconds: float


class NativeStack:
    """All services of a profile's stack, as plain processes under supervisord."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.services = _definitions(profile)
        self.supervision = Supervision(profile, [s.name for s in self.services])

    def up(self, say: Say) -> None:
        """Start what is not running and wait until everything can be used.

        Raises PreflightError before anything is started, PinflowError with the last log lines of a service that
        did not become ready in its time. What did start goes on running, to be looked at.
        """
        self._preflight()
        self.supervision.start()
        _Start(self, say).run()

    def down(self, say: Say) -> None:
        """Stop every process of the stack, consumers before what they consume from; data stays."""
        if not self.supervision.alive():
            ended = self.supervision.end_orphans()
            say(f"ended what a killed supervisor had left: {', '.join(ended)}" if ended else "nothing was running")
            self.supervision.shutdown()
            return
        for names in self._levels_from_the_top():
            with ThreadPoolExecutor() as pool:
                list(pool.map(self.supervision.stop, names))
            say(f"stopped {', '.join(names)}")
        self.supervision.shutdown()

    def reset(self, say: Say) -> None:
        """Stop everything and delete all state of this stack; installed packages stay."""
        self.down(say)
        if self.profile.home.exists():
            shutil.rmtree(self.profile.home)
        say(f"deleted {self.profile.home}")

    def health(self) -> list[Health]:
        """The state of every service, each asked at this moment."""
        processes = self.supervision.processes()
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda s: self._health(s, processes), self.services))

    def _health(self, service: Service, processes: dict[str, Process]) -> Health:
        process = processes.get(service.name)
        state, detail, pid, seconds = "stopped", "", 0, 0.0
        if process is not None and process.state in ("RUNNING", "STARTING"):
            pid, seconds = process.pid, process.seconds
            try:
                service.probe(self.profile)
                state, detail = "ready", service.remark(self.profile)
            except NotReady as reason:
                state, detail = "starting" if seconds < service.timeout else "failed", reason.what
        elif process is not None and process.state in ("BACKOFF", "FATAL", "EXITED"):
            last = self.supervision.last_lines(service.name, 1).strip()
            state, detail = "failed", f"it ends right after its start; its last words: {last}"
        return Health(service.name, service.title, service.stand_in, state, detail, pid, _memory(pid), seconds)

    def _preflight(self) -> None:
        running = {name for name, p in self.supervision.processes().items() if p.pid}
        if not running:
            self.supervision.end_orphans()
            preflight.check_machine(self.profile.home)
        for service in self.services:
            if service.name not in running:
                for port in service.ports(self.profile):
                    preflight.check_port(service.name, port)

    def _levels_from_the_top(self) -> list[list[str]]:
        levels: list[list[str]] = []
        left = {s.name: s for s in self.services}
        while left:
            needed = {need for s in left.values() for need in s.needs}
            level = [name for name in left if name not in needed]
            levels.append(level)
            left = {name: s for name, s in left.items() if name not in level}
        return levels


class _Start:
    """One `up`: a thread a service, each waiting for the services that it needs."""

    def __init__(self, stack: NativeStack, say: Say) -> None:
        self.stack = stack
        self.say = say
        self.ready = {s.name: threading.Event() for s in stack.services}
        self.failed = threading.Event()
        self.errors: list[PinflowError] = []

    def run(self) -> None:
        threads = [threading.Thread(target=self._bring_up, args=(s,), daemon=True) for s in self.stack.services]
        for thread in threads:
            thread.start()
        # Joined with a timeout so that Ctrl-C is heard.
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(0.1)
        if self.errors:
            raise self.errors[0]

    def _bring_up(self, service: Service) -> None:
        profile, supervision = self.stack.profile, self.stack.supervision
        try:
            for need in service.needs:
                while not self.ready[need].wait(0.1):
                    if self.failed.is_set():
                        return
            began = time.monotonic()
            process = supervision.processes().get(service.name)
            already = process is not None and process.state == "RUNNING"
            if not already:
                service.prepare(profile)
                supervision.launch(service.name)
            self._wait(service, began)
            service.initialise(profile, lambda text: self.say(f"{service.name:<12} {text}"))
            took = f"{'was running; ' if already else ''}ready after {time.monotonic() - began:.1f} s"
            self.say(f"{service.name:<12} {took}  ({service.title})")
            self.ready[service.name].set()
        except PinflowError as error:
            self._fail(error)
        except Exception as error:
            self._fail(PinflowError(f"{service.name}: {type(error).__name__}: {error}", self._see(service)))

    def _wait(self, service: Service, began: float) -> None:
        said, said_at = "", 0.0
        while not self.failed.is_set():
            try:
                service.probe(self.stack.profile)
                return
            except NotReady as reason:
                waiting = reason.what
            waited = time.monotonic() - began
            state = self.stack.supervision.processes()[service.name].state
            if waited > service.timeout or state == "FATAL":
                why = "it ends right after its start" if state == "FATAL" else f"not ready after {waited:.0f} s"
                lines = self.stack.supervision.last_lines(service.name)
                raise PinflowError(
                    f"{service.name}: {why}: {waiting}\n  last lines of its log:\n{lines}", self._see(service)
                )
            if waited > 1 and (waiting != said or waited - said_at > _REPEAT_WAITING_LINE_AFTER):
                self.say(f"{service.name:<12} waiting, {waited:.0f} s: {waiting}")
                said, said_at = waiting, waited
            time.sleep(_PROBE_EVERY)

    def _see(self, service: Service) -> str:
        log = self.stack.supervision.log(service.name)
        return f"the whole log: {log.relative_to(ROOT) if log.is_relative_to(ROOT) else log}; then `make up` again"

    def _fail(self, error: PinflowError) -> None:
        self.errors.append(error)
        self.failed.set()


def _definitions(profile: Profile) -> list[Service]:
    """The services that the profile names; raises ProfileError for one without a folder or without its needs."""
    profile.home  # noqa: B018 - raises where nothing runs on this machine
    names = profile.stack.services if profile.stack else []
    known = sorted(p.parent.name for p in (ROOT / "services").glob("*/native.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ProfileError(
            f"{profile.path}: stack.services: no service {', '.join(unknown)}", f"known are {', '.join(known)}"
        )
    services = [definition(name) for name in names]
    for service in services:
        missing = [need for need in service.needs if need not in names]
        if missing:
            raise ProfileError(
                f"{profile.path}: stack.services: {service.name} needs {', '.join(missing)}", "add it to the list"
            )
    return services


def _memory(pid: int) -> int:
    """Proportional set size where the system tells it (Linux), else resident set size; bytes, children included."""
    if not pid:
        return 0
    total = 0
    try:
        main = psutil.Process(pid)
        for process in (main, *main.children(recursive=True)):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    except psutil.Error:
        pass
    return total
