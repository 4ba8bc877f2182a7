"""The stack without Docker: services as plain processes under supervisord."""

from __future__ import annotations

import contextlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from foundation import changes
from foundation.errors import NotReady, PinflowError
from foundation.profile import ROOT, Profile
from foundation.service import Say, Service
from pinflow.stack import launch, preflight, state
from pinflow.stack.health import Health
from pinflow.stack.start import LONGEST, TOO_MANY_EXITS, Start, Vitals
from pinflow.stack.supervision import Process, Supervision

# Seconds in which `make status` counts exits.
_RECENTLY = 300.0


class NativeStack:
    """All services of a profile's stack, as plain processes under supervisord."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.services = launch.services(profile)
        self.supervision = Supervision(profile, [s.name for s in self.services])
        self._began = 0.0

    def up(self, say: Say) -> None:
        """Start what is not running and wait until all services are ready.

        Raises PreflightError before starting anything, or PinflowError with the last log lines of each service that
        did not become ready. Services that did start keep running.
        """
        changed = self._changed()
        self._preflight(changed)
        self._stop(changed, say)
        self.supervision.start()
        changes.remember_start(self.profile)
        self._began = time.time()
        Start(self, say).run()

    def down(self, say: Say) -> None:
        """Stop every process of the stack, consumers first; keep all data."""
        if not self.supervision.alive():
            stopped = self.supervision.stop_orphans()
            say(
                f"stopped processes orphaned by a killed supervisor: {', '.join(stopped)}"
                if stopped
                else "nothing was running"
            )
            self.supervision.shutdown()
            return
        for names in self._levels_from_the_top():
            with ThreadPoolExecutor() as pool:
                list(pool.map(self.supervision.stop, names))
            say(f"stopped {', '.join(names)}")
        self.supervision.shutdown()

    def reset(self, say: Say) -> None:
        """Stop everything and delete this stack's state; keep installed packages and files of others."""
        self.down(say)
        state.delete(self.profile.home, say)

    def health(self) -> list[Health]:
        """The current state of every service."""
        processes = self.supervision.processes()
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda s: self._health(s, processes), self.services))

    def logs(self, names: list[str], lines: int, follow: bool) -> None:
        """Print the last lines of these services' logs and optionally follow them; raises PinflowError."""
        present = [str(self.supervision.log(name)) for name in names if self.supervision.log(name).exists()]
        if not present:
            raise PinflowError(f"logs: no log files in {self.supervision.logs}", "make up")
        subprocess.run(["tail", "-n", str(lines), *(["-F"] if follow else []), *present], check=False)

    def running(self, name: str) -> bool:
        """Whether the service's process is there."""
        process = self.supervision.processes().get(name)
        return process is not None and process.state == "RUNNING"

    def launch(self, service: Service) -> None:
        """Start the service's process without waiting for it."""
        service.prepare(self.profile)
        self.supervision.launch(service.name)

    def probe(self, service: Service) -> None:
        """Raise NotReady unless the service is ready and belongs to this stack."""
        service.probe(self.profile)
        service.owned(self.profile)

    def initialise(self, service: Service, say: Say) -> None:
        """Do what a service needs right after it is ready."""
        service.initialise(self.profile, say)

    def vitals(self, name: str) -> Vitals:
        """What can be seen of the service's process."""
        process = self.supervision.processes().get(name)
        if process is None:
            return Vitals(dead="supervisord has been stopped")
        over = "exits immediately after starting" if process.state == "FATAL" else ""
        return Vitals(self.supervision.exits(name, process, self._began), _cpu(process.pid), over)

    def last_lines(self, name: str) -> str:
        """The end of a service's log."""
        return self.supervision.last_lines(name)

    def log(self, name: str) -> str:
        """Where to find the whole log."""
        log = self.supervision.log(name)
        return str(log.relative_to(ROOT) if log.is_relative_to(ROOT) else log)

    def _health(self, service: Service, processes: dict[str, Process]) -> Health:
        process = processes.get(service.name)
        state, detail, pid, seconds = "stopped", "", 0, 0.0
        if process is not None and process.state in ("RUNNING", "STARTING"):
            pid, seconds = process.pid, process.seconds
            try:
                self.probe(service)
                state, detail = "ready", service.remark(self.profile)
            except NotReady as reason:
                exits = self.supervision.exits(service.name, process, time.time() - _RECENTLY)
                if exits >= TOO_MANY_EXITS:
                    last = self.supervision.last_line_before_exit(service.name)
                    state, detail = "failed", f"exited {exits} times in {_RECENTLY / 60:.0f} min; last log line: {last}"
                else:
                    state, detail = "starting" if seconds < service.timeout * LONGEST else "failed", reason.what
        elif process is not None and process.state in ("BACKOFF", "FATAL", "EXITED"):
            last = self.supervision.last_lines(service.name, 1).strip()
            state, detail = "failed", f"exited immediately after starting; last log line: {last}"
        return Health(service.name, service.title, service.stand_in, state, detail, pid, _memory(pid), seconds)

    def _stop(self, changed: set[str], say: Say) -> None:
        """Stop these services, consumers first: `up` starts them again."""
        if not changed:
            return
        variables = self.supervision.changed_variables()
        if variables:
            # supervisord passes its own environment on.
            say(f"{', '.join(variables)} changed in the environment: restarting everything")
            self.down(say)
            return
        say(f"restarting {', '.join(sorted(changed))}: settings have changed")
        for names in self._levels_from_the_top():
            with ThreadPoolExecutor() as pool:
                list(pool.map(self.supervision.stop, changed.intersection(names)))

    def _changed(self) -> set[str]:
        """The running services whose settings differ from the profile's."""
        pids = {name: process.pid for name, process in self.supervision.processes().items()}
        return {s.name for s in self.services if pids.get(s.name) and launch.changed(s, self.profile)}

    def _preflight(self, changed: set[str]) -> None:
        running = {name for name, p in self.supervision.processes().items() if p.pid}
        if not running:
            self.supervision.stop_orphans()
            preflight.check_machine(self.profile.home, self.services)
        for service in self.services:
            # A service that will be restarted still holds its old ports, which may be the new ports of another.
            for port in service.ports(self.profile):
                if service.name not in running or (service.name in changed and not self.supervision.holds(port)):
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


def _cpu(pid: int) -> float:
    """Seconds of CPU time, including its children."""
    total = 0.0
    if not pid:  # macOS has a process 0, of which all others are children
        return total
    with contextlib.suppress(psutil.Error):
        main = psutil.Process(pid)
        for process in (main, *main.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def _memory(pid: int) -> int:
    """Bytes, including its children: proportional set size (Linux), else resident set size."""
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
