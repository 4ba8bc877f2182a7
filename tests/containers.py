"""A stack's containers as Docker itself shows them: processes, published ports, logs; and ways to disturb them."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import Any

import psutil

from foundation.profile import Profile
from pinflow.stack.compose import project_name


def docker(*arguments: str, check: bool = True) -> str:
    """Run `docker`; returns what it prints, on both channels."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout + done.stderr


def project(profile: Profile) -> str:
    """The Compose project of a test's profile."""
    return project_name(profile.home)


def identity(profile: Profile, service: str) -> str:
    """The id of a service's container, running or not."""
    labels = {"project": project(profile), "service": service}
    filters = [part for k, v in labels.items() for part in ("--filter", f"label=com.docker.compose.{k}={v}")]
    return docker("ps", "--all", "--quiet", "--no-trunc", *filters).strip()


def inspect(profile: Profile, service: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("inspect", identity(profile, service)))[0]
    return found


def process(profile: Profile, service: str) -> psutil.Process:
    """The service's own process: the child of the small init that Docker puts in front of it."""
    init = psutil.Process(inspect(profile, service)["State"]["Pid"])
    assert init.pid, f"{service} does not run"
    return min(init.children(), key=lambda child: child.create_time())


def family(profile: Profile, service: str) -> list[psutil.Process]:
    """Every process in the service's container that has not ended yet."""
    found = []
    for process in psutil.Process(inspect(profile, service)["State"]["Pid"]).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def published(profile: Profile, service: str) -> list[tuple[str, str]]:
    """Address and port of this machine, for each port of the container that is published."""
    ports = inspect(profile, service)["NetworkSettings"]["Ports"]
    return [(one["HostIp"], one["HostPort"]) for bound in ports.values() for one in bound or []]
