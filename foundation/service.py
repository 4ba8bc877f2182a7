"""What the stack needs to know of a service. Each folder of services/ has a native.py with `SERVICE`.

The stack itself knows nothing of any one service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foundation.profile import Profile


@dataclass(frozen=True)
class Command:
    """What is executed for a service: arguments, additions to the environment, working directory.

    Secrets go into ``environment``, never into ``arguments``: a process list shows those to everyone.
    """

    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


@dataclass(frozen=True)
class Service:
    """One service of services/<name>: how it runs without Docker, and how one sees, either way, that it can be used.

    name       its folder, and its name in `make status`
    title      what it is, for people ("Apache Kafka 4.3.1"); a stand-in says so here
    ports      the TCP ports on 127.0.0.1 that the profile gives it
    command    what to execute (called in the service's own process, right before exec)
    settings   what a start takes from the profile, where that is not just `command`; once it has changed, `up` starts
               the service again
    probe      returns when the service can be used, raises NotReady with the last thing seen; a few seconds at most;
               through its ports, so that it serves a container as well
    memory     GiB at work; bench/README.md (d) has what each takes after its start
    owned      raises NotReady unless it is the process started here that answers
    prepare    work before the first start (a data directory, a formatted log); must be harmless when repeated
    initialise work right after it is ready (seed rows); repeated at every `up`, so harmless when repeated;
               it gets a function that tells the person what is going on
    initialise_in_compose  the same where Compose runs it and has done a part of the work itself; None: `initialise`
    remark     what a person must know of a service although it can be used; "" for nothing
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
    initialise: Callable[[Profile, Callable[[str], None]], None] = lambda profile, say: None
    initialise_in_compose: Callable[[Profile, Callable[[str], None]], None] | None = None
    owned: Callable[[Profile], None] = lambda profile: None
    remark: Callable[[Profile], str] = lambda profile: ""
    needs: tuple[str, ...] = ()
    timeout: float = 60
    stand_in: bool = False
