"""Starts services in parallel as far as their needs allow, and waits for each as long as it makes progress."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from foundation.errors import NotReady, PinflowError
from foundation.service import Say, Service

TOO_MANY_EXITS = 3
"""A process that exits this often without becoming ready has failed; the supervisor restarts it until then."""
LONGEST = 10
"""A service that makes progress but is not ready fails after this many times its timeout."""

_PROBE_EVERY = 0.2
_LOOK_EVERY = 1.0
_REPEAT_WAITING_LINE_AFTER = 10.0
# Seconds. An idle JVM, or a service that only answers the probe, uses less in a minute.
_CPU_OF_PROGRESS = 2.0


@dataclass(frozen=True)
class Vitals:
    """What can be seen of a service's process from outside.

    exits  how often it exited since this `up` began
    cpu    seconds of CPU time that it and its children have used; 0 if unknown
    dead   why it will never become ready, if that is certain; else ""
    """

    exits: int = 0
    cpu: float = 0
    dead: str = ""


class Runner(Protocol):
    """What runs the services: NativeStack or ComposeStack."""

    @property
    def services(self) -> Sequence[Service]:
        """In the profile's order."""

    def running(self, name: str) -> bool:
        """Whether it was running before this `up`."""

    def launch(self, service: Service) -> None:
        """Start it without waiting for it."""

    def probe(self, service: Service) -> None:
        """Raise NotReady unless it can be used."""

    def initialise(self, service: Service, say: Say) -> None:
        """Work right after it is ready."""

    def vitals(self, name: str) -> Vitals:
        """What can be seen of its process."""

    def last_lines(self, name: str) -> str:
        """The end of its log."""

    def log(self, name: str) -> str:
        """Where the whole log is."""


class Progress:
    """Since when a service has made no progress.

    Progress is a log line or a probe's answer that differs from all earlier ones in more than numbers (so retries and
    the log of our own probes do not count), or some seconds of CPU time.
    """

    def __init__(self, now: float) -> None:
        self.since = now
        self._seen: set[str | int] = set()

    def see(self, answer: str, log: str, vitals: Vitals, now: float) -> None:
        """Record an observation."""
        words = {re.sub(r"\d+", "", line) for line in (answer, *log.splitlines())}
        new = (words | {int(vitals.cpu / _CPU_OF_PROGRESS)}) - self._seen
        if new:
            self._seen |= new
            self.since = now


class Start:
    """One `up`: a thread per service, which first waits for the services that it needs."""

    def __init__(
        self,
        stack: Runner,
        say: Say,
        slowness: float = 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``slowness``: factor for each service's timeout."""
        self.stack = stack
        self.say = say
        self.slowness = slowness
        self.clock = clock
        self.sleep = sleep
        self.settled = {s.name: threading.Event() for s in stack.services}
        self.ready: set[str] = set()
        self.errors: dict[str, PinflowError] = {}
        self.skipped: dict[str, str] = {}

    def run(self) -> None:
        """Return when all are ready.

        If a service fails, only those that need it are not started. Raises one PinflowError about all of them.
        """
        threads = [threading.Thread(target=self._bring_up, args=(s,), daemon=True) for s in self.stack.services]
        for thread in threads:
            thread.start()
        # A timeout, so that Ctrl-C can interrupt the wait.
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(0.1)
        if self.errors:
            raise self._error()

    def _bring_up(self, service: Service) -> None:
        try:
            missing = self._wait_for_needs(service)
            if missing:
                self.skipped[service.name] = missing
                self.say(f"{service.name:<12} not started: it needs {missing}")
                return
            self._start(service)
            self.ready.add(service.name)
        except PinflowError as error:
            self._fail(service, error)
        except Exception as error:
            self._fail(service, PinflowError(f"{service.name}: {type(error).__name__}: {error}", self._see(service)))
        finally:
            self.settled[service.name].set()

    def _wait_for_needs(self, service: Service) -> str:
        """Wait for the services that it needs; the first that failed, "" once all are ready."""
        for need in service.needs:
            self.settled[need].wait()
            if need not in self.ready:
                return need
        return ""

    def _start(self, service: Service) -> None:
        began = self.clock()
        already = self.stack.running(service.name)
        if not already:
            self.stack.launch(service)
        self._wait(service, began)
        self.stack.initialise(service, lambda text: self.say(f"{service.name:<12} {text}"))
        took = f"{'was running; ' if already else ''}ready after {self.clock() - began:.1f} s"
        self.say(f"{service.name:<12} {took}  ({service.title})")

    def _wait(self, service: Service, began: float) -> None:
        progress = Progress(began)
        look_every = _LOOK_EVERY * self.slowness
        looked, said, said_at = began - look_every, "", 0.0
        while True:
            try:
                self.stack.probe(service)
                return
            except NotReady as reason:
                waiting = reason.what
            now = self.clock()
            if now - looked >= look_every:
                looked = now
                vitals, log = self.stack.vitals(service.name), self.stack.last_lines(service.name)
                progress.see(waiting, log, vitals, now)
                why = self._hopeless(service, vitals, now - began, now - progress.since)
                if why:
                    raise PinflowError(
                        f"{service.name}: {why}: {waiting}\n  last lines of its log:\n{log}", self._see(service)
                    )
            waited = now - began
            if waited > 1 and (waiting != said or waited - said_at > _REPEAT_WAITING_LINE_AFTER):
                self.say(f"{service.name:<12} waiting, {waited:.0f} s: {waiting}")
                said, said_at = waiting, waited
            # Less and less often, so that probes do not load a busy machine.
            self.sleep(min(max(_PROBE_EVERY, waited / 50), _LOOK_EVERY))

    def _hopeless(self, service: Service, vitals: Vitals, waited: float, idle: float) -> str:
        """Why to stop waiting; "" to go on."""
        timeout = service.timeout * self.slowness
        if vitals.dead:
            return vitals.dead
        if vitals.exits >= TOO_MANY_EXITS:
            return f"exited {vitals.exits} times without becoming ready"
        if idle > timeout:
            return f"not ready after {waited:.0f} s, and no progress for {idle:.0f} s"
        if waited > timeout * LONGEST:
            return f"not ready after {waited:.0f} s"
        return ""

    def _see(self, service: Service) -> str:
        return f"the whole log: {self.stack.log(service.name)}"

    def _fail(self, service: Service, error: PinflowError) -> None:
        self.errors[service.name] = error
        self.say(f"{service.name:<12} failed; starting the services that do not need it")

    def _error(self) -> PinflowError:
        failed = [str(error) for error in self.errors.values()]
        skipped = [f"{name}: not started: it needs {need}" for name, need in self.skipped.items()]
        return PinflowError("\n".join([*failed, *skipped]), "run `make up` again: it continues with what is not ready")
