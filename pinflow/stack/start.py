"""Bringing services up side by side as far as their needs allow, with a bound on every wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pinflow.errors import NotReady, PinflowError
from pinflow.stack.service import Service

Say = Callable[[str], None]

_PROBE_EVERY = 0.2
_REPEAT_WAITING_LINE_AFTER = 10.0


class Runner(Protocol):
    """What runs the services: NativeStack or ComposeStack."""

    @property
    def services(self) -> Sequence[Service]:
        """In the profile's order."""

    def running(self, name: str) -> bool:
        """Whether it was started before."""

    def launch(self, service: Service) -> None:
        """Start it without waiting for it."""

    def probe(self, service: Service) -> None:
        """Raise NotReady unless it can be used."""

    def initialise(self, service: Service, say: Say) -> None:
        """Work right after it is ready."""

    def given_up(self, name: str) -> str:
        """Why it is not going to be ready; nothing while it may."""

    def last_lines(self, name: str) -> str:
        """The end of its log."""

    def log(self, name: str) -> str:
        """Where the whole log is."""


class Start:
    """One `up`: a thread a service, each waiting for the services that it needs."""

    def __init__(self, stack: Runner, say: Say, patience: float = 1) -> None:
        """``patience``: what each service's time to ready is multiplied by."""
        self.stack = stack
        self.say = say
        self.patience = patience
        self.ready = {s.name: threading.Event() for s in stack.services}
        self.failed = threading.Event()
        self.errors: list[PinflowError] = []

    def run(self) -> None:
        """Return when all are ready; raises the PinflowError of the first that is not in its time."""
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
        try:
            for need in service.needs:
                while not self.ready[need].wait(0.1):
                    if self.failed.is_set():
                        return
            began = time.monotonic()
            already = self.stack.running(service.name)
            if not already:
                self.stack.launch(service)
            self._wait(service, began)
            self.stack.initialise(service, lambda text: self.say(f"{service.name:<12} {text}"))
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
                self.stack.probe(service)
                return
            except NotReady as reason:
                waiting = reason.what
            waited = time.monotonic() - began
            why = self.stack.given_up(service.name)
            if why or waited > service.timeout * self.patience:
                lines = self.stack.last_lines(service.name)
                raise PinflowError(
                    f"{service.name}: {why or f'not ready after {waited:.0f} s'}: {waiting}\n"
                    f"  last lines of its log:\n{lines}",
                    self._see(service),
                )
            if waited > 1 and (waiting != said or waited - said_at > _REPEAT_WAITING_LINE_AFTER):
                self.say(f"{service.name:<12} waiting, {waited:.0f} s: {waiting}")
                said, said_at = waiting, waited
            time.sleep(_PROBE_EVERY)

    def _see(self, service: Service) -> str:
        return f"the whole log: {self.stack.log(service.name)}; then `make up` again"

    def _fail(self, error: PinflowError) -> None:
        self.errors.append(error)
        self.failed.set()
