"""`make clean`: deletes .pinflow, with the packages and the state of every stack in it, if none is running."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from foundation.errors import PinflowError
from foundation.paths import PACKAGES, shown
from foundation.profile import ROOT, Profile, load
from foundation.service import Say
from pinflow import install
from pinflow.stack import state, supervision
from pinflow.stack.compose import project_name


@dataclass(frozen=True)
class Running:
    """A running stack that uses what would be deleted, and the command that stops it."""

    what: str
    stop: str


def refuse_while_running() -> None:
    """Raise PinflowError if any profile's stack is running from .pinflow."""
    found = running()
    if found:
        raise PinflowError(
            f"still running: {', '.join(one.what for one in found)}", " && ".join(one.stop for one in found)
        )


def running() -> list[Running]:
    """Every running stack of this repository, native or in containers."""
    profiles = list(_profiles())
    natively = [
        Running(f"the stack in {home}", f"make down PROFILE={install.profile_of(home)}")
        for home in sorted(set(install.stack_homes()) | {profile.home for profile in profiles})
        if supervision.survivors(home) or supervision.supervisor(home)
    ]
    names = {project_name(profile.home): shown(profile.path) for profile in profiles}
    return natively + [
        Running(
            f"the containers of {project}",
            f"make down PROFILE={names[project]}" if project in names else f"docker compose -p {project} down",
        )
        for project in projects()
    ]


def projects() -> list[str]:
    """The Compose projects with running containers that this repository started."""
    if shutil.which("docker") is None:
        return []
    where = f"label=com.docker.compose.project.working_dir={ROOT}"
    command = ["docker", "ps", "--filter", where, "--format", '{{.Label "com.docker.compose.project"}}']
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return sorted(set(done.stdout.split())) if done.returncode == 0 else []
    return []


def contents() -> list[str]:
    """The names of everything in .pinflow."""
    return sorted(path.name for path in PACKAGES.iterdir()) if PACKAGES.exists() else []


def delete_packages(say: Say) -> None:
    """Delete .pinflow."""
    names = contents()
    if names:
        state.remove(PACKAGES)
        say(f"deleted {PACKAGES}: {', '.join(names)}")


def _profiles() -> Iterator[Profile]:
    """The profiles in profiles/ with a stack on this machine; skips unreadable ones."""
    for file in sorted((ROOT / "profiles").glob("*.yaml")):
        with suppress(PinflowError):
            profile = load(str(file))
            profile.home  # noqa: B018 - raises where nothing runs on this machine
            yield profile
