"""The stack in containers: docker-compose.yml, filled in from the profile through environment variables.

So any instance works and no secret is in an argument. COMPOSE_FILE, Docker's own variable, may add an override.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foundation import changes
from foundation.errors import NotReady, PinflowError, PreflightError
from foundation.profile import ROOT, Profile
from foundation.service import Say, Service
from pinflow.stack import images, launch, preflight, state
from pinflow.stack.compose_variables import variables
from pinflow.stack.health import Health
from pinflow.stack.start import LONGEST, TOO_MANY_EXITS, Start, Vitals

# GiB besides the services: Docker itself, and Spark, which needs more there than natively (bench/README.md).
MEMORY_MARGIN = 1.3
# Factor for the services' timeouts: containers start more slowly, and `docker compose up` shows no progress.
SLOWNESS = 3.0
_NOBODY_LISTENS = re.compile(r"Connection reset by peer|Remote end closed connection without response")
# Images that contain what also runs natively; any other is an official one, not a stand-in.
_AS_NATIVELY = ("pinflow/packages:", "pinflow/spark:", "pinflow/databricks:")
_UP = ("up", "--no-build", "--pull", "never")
_UNITS = {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def project_name(home: Path) -> str:
    """The Compose project of the stack in this directory; two clones of this repository have different ones."""
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:8]
    return f"pinflow-{re.sub(r'[^a-z0-9_-]', '-', home.name.lower())}-{digest}"


@dataclass(frozen=True)
class Container:
    """A service's container; ``state`` is created, running, restarting, exited, …"""

    identity: str
    image: str
    state: str
    pid: int
    exit_code: int
    seconds: float
    restarts: int


class ComposeStack:
    """All services of a profile's stack, as containers of one Compose project."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.services = launch.services(profile)
        self.project = project_name(profile.home)
        self._creation: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - output of `docker compose up`, kept as long as this object
        self._running: set[str] = set()
        self._restarts: dict[str, int] = {}

    def up(self, say: Say) -> None:
        """Start what is not running and wait until all services are ready.

        Raises NoImages or PreflightError before starting anything, or PinflowError with the last log lines of each
        service that did not become ready. Services that did start keep running.
        """
        definitions = json.loads(self._compose("config", "--format", "json"))["services"]
        self.services = [self._in_container(service, definitions[service.name]) for service in self.services]
        self._preflight()
        images.get({name: definitions[name] for name in self._names()}, self.environment(), say)
        self._make_home()
        changes.remember_start(self.profile)
        self._replace_changed(say)
        self._creation = self._start(*_UP, "--detach", *self._names())
        try:
            Start(self, say, SLOWNESS).run()
        except BaseException:
            self._creation.terminate()
            raise
        finally:
            self._creation.wait()
        if failure := self._creation_failed():
            raise PinflowError(failure, "run `make up` again: it continues with what is not ready")

    def down(self, say: Say) -> None:
        """Stop and remove every container; keep the data in the volumes."""
        self._down(say)

    def reset(self, say: Say) -> None:
        """Stop everything and delete this stack's volumes and state; keep images and files of others."""
        self._down(say, "--volumes")
        say(f"deleted the volumes of {self.project}")
        state.delete(self.profile.home, say)

    def health(self) -> list[Health]:
        """The current state of every service."""
        containers = self.containers()
        memory = self._memory(containers)
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda s: self._health(s, containers.get(s.name), memory), self.services))

    def logs(self, names: list[str], lines: int, follow: bool) -> None:
        """Print the last lines of these services' logs and optionally follow them."""
        command = ["docker", "compose", "logs", "--tail", str(lines), *(["--follow"] if follow else []), *names]
        subprocess.run(command, cwd=ROOT, env=self.environment(), check=False)

    def containers(self) -> dict[str, Container]:
        """Every container of the project, by service."""
        found = self._compose("ps", "--all", "--quiet").split()
        inspected = json.loads(_docker("inspect", *found)) if found else []
        return {one["Config"]["Labels"]["com.docker.compose.service"]: _container(one) for one in inspected}

    def running(self, name: str) -> bool:
        """Whether its container ran before this `up` and is kept."""
        return name in self._running

    def launch(self, service: Service) -> None:
        """Do nothing: `docker compose up` starts all of them, in the compose file's order."""

    def probe(self, service: Service) -> None:
        """Raise NotReady unless the service is ready for this machine."""
        try:
            service.probe(self.profile)
        except NotReady as reason:
            # Docker accepts connections to a published port before the container listens.
            words = _NOBODY_LISTENS.sub("Connection refused", reason.what)
            raise NotReady(words, reason.fix) from None

    def initialise(self, service: Service, say: Say) -> None:
        """Do what a service needs right after it is ready and Compose has not done."""
        (service.initialise_in_compose or service.initialise)(self.profile, say)

    def vitals(self, name: str) -> Vitals:
        """What can be seen of the service's container."""
        container = self._container(name)
        if container is None or container.state == "created":
            return Vitals(dead=self._creation_failed())
        exits = container.restarts - self._restarts.get(container.identity, 0)
        return Vitals(exits, _cpu(container.identity))

    def last_lines(self, name: str) -> str:
        """The end of a service's log."""
        done = self._run("logs", "--no-log-prefix", "--no-color", "--tail", "15", name)
        return "\n".join(f"    {line}" for line in done.stdout.splitlines()) or "    (no output)"

    def log(self, name: str) -> str:
        """Where to find the whole log."""
        return f"make logs S={name}"

    def environment(self) -> dict[str, str]:
        """The environment of `docker compose`: the profile's values, and the project's name."""
        return {
            **os.environ,
            **variables(self.profile, self._rootless),
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_PROFILES": "*",
            # Compose labels containers with it (see `make clean`), and the shell's may be a symbolic link.
            "PWD": str(ROOT),
        }

    @functools.cached_property
    def _rootless(self) -> bool:
        """Whether the engine runs as the user: rootless Docker or Podman."""
        return "rootless" in _docker("info", "--format", "{{.SecurityOptions}}")

    def _names(self) -> list[str]:
        """The compose file's services: the profile's, and the one that creates the connector."""
        names = [service.name for service in self.services]
        return [*names, "connector"] if "connect" in names else names

    def _down(self, say: Say, *options: str) -> None:
        was = self.containers()
        self._compose("down", "--remove-orphans", *options, timeout=180)
        say(f"stopped {', '.join(sorted(was))}" if was else "nothing was running")

    def _in_container(self, service: Service, definition: dict[str, Any]) -> Service:
        """The service as Compose runs it: its image, its memory, the services that it waits for.

        Containers start in the compose file's order, and a service's timeout counts from its container's start.
        """
        names = {service.name for service in self.services}
        needs = tuple(name for name in definition.get("depends_on", ()) if name in names)
        memory = max(service.memory, int(definition.get("mem_reservation", 0)) / 2**30)
        return replace(service, title=_title(service, definition["image"]), memory=memory, needs=needs)

    def _replace_changed(self, say: Say) -> None:
        """Have Compose create or replace the containers now: an outdated one would answer the probes meanwhile."""
        before = self._running
        self._compose(*_UP, "--no-start", *self._names(), timeout=300)
        self._running = _running(self.containers())
        if replaced := before - self._running:
            say(f"restarting {', '.join(sorted(replaced))}: settings or images have changed")

    def _preflight(self) -> None:
        containers = self.containers()
        self._restarts = {one.identity: one.restarts for one in containers.values()}
        running = self._running = _running(containers)
        if not running:
            total = int(_docker("info", "--format", "{{.MemTotal}}"))
            needed = preflight.memory_needed(self.services, MEMORY_MARGIN)
            if total < needed:
                raise PreflightError(
                    f"memory: Docker has {total / 10**9:.1f} GB, the stack needs {needed / 10**9:.1f} GB: "
                    + preflight.memory_of_each(self.services),
                    "give Docker more (Docker Desktop: Settings, Resources), or take services out of stack.services",
                )
        for service in self.services:
            if service.name not in running:
                for port in service.ports(self.profile)[: _PUBLISHED.get(service.name)]:
                    preflight.check_port(service.name, port)

    def _make_home(self) -> None:
        """Create the directory that Spark's container writes to; if Docker created it, it would belong to root."""
        spark = self.profile.home / "spark"
        spark.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            os.chown(spark, *map(int, variables(self.profile)["PINFLOW_USER"].split(":")))

    def _health(self, service: Service, container: Container | None, memory: dict[str, int]) -> Health:
        state, detail, pid, seconds, used = "stopped", "", 0, 0.0, 0
        if container is not None and container.state == "running":
            pid, seconds, used = container.pid, container.seconds, memory.get(container.identity, 0)
            try:
                self.probe(service)
                state, detail = "ready", service.remark(self.profile)
            except NotReady as reason:
                state, detail = "starting" if seconds < service.timeout * LONGEST else "failed", reason.what
                if container.restarts >= TOO_MANY_EXITS and seconds < service.timeout:
                    state, detail = "failed", f"exited {container.restarts} times; last log line: {self._last(service)}"
        elif container is not None and container.state not in ("created", "removing"):
            state = "failed"
            detail = f"its container is {container.state}, exit status {container.exit_code}"
            detail += f"; last log line: {self._last(service)}"
        title = _title(service, container.image) if container is not None else service.title
        stand_in = service.stand_in and title == service.title
        return Health(service.name, title, stand_in, state, detail, pid, used, seconds)

    def _creation_failed(self) -> str:
        if self._creation is None or self._creation.poll() in (None, 0):
            return ""
        self._said.seek(0)
        said = self._said.read().strip().splitlines()
        return f"`docker compose up` failed: {said[-1] if said else 'no output'}"

    def _container(self, name: str) -> Container | None:
        """One of ``containers``, without `docker compose`, which is too slow to call every few seconds."""
        label = "label=com.docker.compose"
        of = ["--filter", f"{label}.project={self.project}", "--filter", f"{label}.service={name}"]
        with contextlib.suppress(PinflowError):  # it is being replaced
            for identity in _docker("ps", "--all", "--quiet", *of).split():
                return _container(json.loads(_docker("inspect", identity))[0])
        return None

    def _last(self, service: Service) -> str:
        return self.last_lines(service.name).strip().splitlines()[-1]

    def _memory(self, containers: dict[str, Container]) -> dict[str, int]:
        """Bytes in use by container, as its memory limit counts them, without the page cache."""
        running = [one.identity for one in containers.values() if one.state == "running"]
        if not running:
            return {}
        lines = _docker(
            "stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.MemUsage}}", *running
        ).splitlines()
        return {line.split()[0]: _bytes(line.split()[1]) for line in lines}

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["docker", "compose", "--progress", "quiet", *arguments],
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )

    def _run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return _run(["docker", "compose", *arguments], timeout, self.environment())

    def _compose(self, *arguments: str, timeout: float = 60) -> str:
        done = self._run(*arguments, timeout=timeout)
        if done.returncode:
            raise PinflowError(
                f"`docker compose {arguments[0]}` failed: {done.stderr.strip() or done.stdout.strip()}",
                "does `docker info` answer?",
            )
        return done.stdout


# How many ports are published: Spark's second is for the workspace, Kafka's second for its controller.
_PUBLISHED = {"spark": 1, "kafka": 1}


def _title(service: Service, image: str) -> str:
    """The title for a container of this image."""
    return service.title if image.startswith(_AS_NATIVELY) else image


def _running(containers: dict[str, Container]) -> set[str]:
    return {name for name, one in containers.items() if one.state == "running"}


def _container(inspected: dict[str, Any]) -> Container:
    state = inspected["State"]
    seconds = 0.0
    if state["Running"]:
        began = datetime.fromisoformat(state["StartedAt"][:19]).replace(tzinfo=UTC)
        seconds = max(0.0, time.time() - began.timestamp())
    return Container(
        identity=inspected["Id"],
        image=inspected["Config"]["Image"],
        state=state["Status"],
        pid=state["Pid"],
        exit_code=state["ExitCode"],
        seconds=seconds,
        restarts=inspected.get("RestartCount", 0),
    )


def _cpu(identity: str) -> float:
    """Seconds of CPU time of a container's processes, as `docker top` shows it: [days-]hours:minutes:seconds."""
    done = _run(["docker", "top", identity, "-eo", "pid,time"], 60, dict(os.environ))
    total = 0
    for days, hours, minutes, seconds in re.findall(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)$", done.stdout, re.MULTILINE):
        total += ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return total


def _bytes(text: str) -> int:
    number = text.rstrip("kKMGiB")
    return int(float(number) * _UNITS[text[len(number) :]])


def _docker(*arguments: str) -> str:
    done = _run(["docker", *arguments], 60, dict(os.environ))
    if done.returncode:
        raise PinflowError(f"`docker {arguments[0]}` failed: {done.stderr.strip()}", "does `docker info` answer?")
    return done.stdout


def _run(command: list[str], timeout: float, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise PinflowError("Docker: no `docker` on PATH", "install Docker, or leave RUNTIME empty") from None
    except subprocess.TimeoutExpired:
        raise PinflowError(
            f"`{' '.join(command[:3])}` did not finish within {timeout:.0f} s", "does `docker info` answer?"
        ) from None
