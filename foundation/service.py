"""The contract between the stack and a service: each folder of services/ has a native.py with a `SERVICE`.

The stack itself knows nothing about any particular service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foundation.profile import Profile

Say = Callable[[str], None]
"""Takes a line of progress for the user."""


@dataclass(frozen=True)
class Command:
    """The command of a service: arguments, additional environment variables, working directory.

    Secrets belong in ``environment``, never in ``arguments``, which everyone can see in a process list.
    """

    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


@dataclass(frozen=True)
class Service:
    """A service of services/<name>: how it runs without Docker, and how to see, with or without, that it is ready.

    name       its folder, and its name in `make status`
    title      what it is, for the user ("Apache Kafka 4.3.1"); a stand-in says so here
    ports      the TCP ports on 127.0.0.1 that the profile gives it
    command    what to execute (called in the service's own process, right before exec)
    settings   what a start takes from the profile, if that is not just `command`; when it changes, `up` restarts the
               service
    probe      returns when the service is ready, else raises NotReady with its last known state; takes a few seconds at
               most; works through the ports, so that it serves a container as well
    memory     GiB at work; bench/README.md (d) has what each takes after its start
    owned      raises NotReady unless the process that answers was started here
    prepare    work before the first start (a data directory, a formatted log); safe to repeat
    initialise  work right after it is ready (seed rows); repeated at every `up`, so safe to repeat; gets a function
               that reports progress
    initialise_in_compose  the same in containers, where Compose has done part of the work; None: `initialise`
    remark     what the user should know about a ready service; "" for nothing
    needs      services that must be ready before this one starts
    timeout    seconds without progress (no new log line, no CPU time, no new answer of the probe) after which `up`
               fails with the service's last log lines; with progress, ten times as many
    """

    name: str
    title: str
    ports: Callable[[Profile], list[int]]
    command: Callable[[Profile], Command]
    probe: Callable[[Profile], None]
    memory: float
    settings: Callable[[Profile], object] | None = None
    prepare: Callable[[Profile], None] = lambda profile: None
    initialise: Callable[[Profile, Say], None] = lambda profile, say: None
    initialise_in_compose: Callable[[Profile, Say], None] | None = None
    owned: Callable[[Profile], None] = lambda profile: None
    remark: Callable[[Profile], str] = lambda profile: ""
    needs: tuple[str, ...] = ()
    timeout: float = 60
    stand_in: bool = False
