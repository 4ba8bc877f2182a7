"""`python -m pinflow.stack.launch SERVICE PROFILE`: become the service's process.

The supervisor starts every service this way, so that settings are rendered at each start and no secret is in the
supervisor's configuration. `exec` keeps the pid, so signals reach the service itself.
"""

from __future__ import annotations

import importlib
import os
import secrets
import sys
import time
from pathlib import Path

import psutil

from foundation.changes import digest
from foundation.errors import PinflowError, ProfileError
from foundation.java import LOCALE
from foundation.profile import ROOT, Profile, load
from foundation.service import Service
from pinflow.stack import state


def service(name: str) -> Service:
    """The definition of services/<name>/native.py."""
    definition: Service = importlib.import_module(f"services.{name}.native").SERVICE
    return definition


def services(profile: Profile) -> list[Service]:
    """The profile's services; raises ProfileError for an unknown one, or one without the services that it needs."""
    profile.home  # noqa: B018 - raises where nothing runs on this machine
    names = profile.stack.services if profile.stack else []
    known = sorted(p.parent.name for p in (ROOT / "services").glob("*/native.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ProfileError(
            f"{profile.path}: stack.services: no service {', '.join(unknown)}", f"known services: {', '.join(known)}"
        )
    found = [service(name) for name in names]
    for one in found:
        missing = [need for need in one.needs if need not in names]
        if missing:
            raise ProfileError(
                f"{profile.path}: stack.services: {one.name} needs {', '.join(missing)}", "add it to the list"
            )
    return found


def changed(one: Service, profile: Profile) -> bool:
    """Whether the service was started with other settings than the profile's current ones."""
    try:
        salt, found = _settings_file(one.name, profile).read_text().split()
    except (FileNotFoundError, ValueError):
        return True
    return found != digest_of_settings(one, profile, salt)


def write_settings(one: Service, profile: Profile) -> None:
    """Save a hash of the service's settings for ``changed``, readable by its owner only."""
    salt, file = secrets.token_hex(16), _settings_file(one.name, profile)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(f"{salt} {digest_of_settings(one, profile, salt)}")


def digest_of_settings(one: Service, profile: Profile, salt: str) -> str:
    """A salted hash of everything that the service takes from the profile, including secrets."""
    settings: object
    if one.settings is not None:
        settings = one.settings(profile)
    else:
        command = one.command(profile)
        # PATH comes from the terminal, not from the profile.
        settings = command.arguments, sorted(item for item in command.environment.items() if item[0] != "PATH")
    return digest(repr(settings), salt)


def become(name: str, profile: Profile) -> None:
    """Replace this process by the service's own; never returns unless exec fails."""
    run = profile.home / "run"
    run.mkdir(parents=True, exist_ok=True)
    _note_start(run / f"{name}.starts", profile.home / "logs" / f"{name}.log")
    # Before building the command: a JVM ignores TMPDIR and gets it as an argument.
    os.environ["TMPDIR"] = str(state.temporary(profile.home, name))
    one = service(name)
    command = one.command(profile)
    if command.directory:
        command.directory.mkdir(parents=True, exist_ok=True)
        os.chdir(command.directory)
    # If supervisord is killed, the next `up` or `down` stops the processes recorded here.
    (run / f"{name}.pid").write_text(f"{os.getpid()} {psutil.Process().create_time()}")
    write_settings(one, profile)
    sys.stdout.flush()
    os.execvpe(command.arguments[0], command.arguments, {**os.environ, **LOCALE, **command.environment})


def _note_start(file: Path, log: Path) -> None:
    """Record this start and the log's length in bytes: supervisord does not count its restarts."""
    earlier = file.read_text().splitlines() if file.exists() else []
    size = log.stat().st_size if log.exists() else 0
    file.write_text("".join(f"{line}\n" for line in [*earlier[-9:], f"{time.time()} {size}"]))


def _settings_file(name: str, profile: Profile) -> Path:
    return profile.home / "run" / f"{name}.settings"


if __name__ == "__main__":
    try:
        become(sys.argv[1], load(sys.argv[2]))
    except PinflowError as error:
        sys.exit(str(error))
