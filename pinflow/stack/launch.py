"""`python -m pinflow.stack.launch SERVICE PROFILE`: become the service's process.

The supervisor starts every service this way, so that settings are rendered anew at each start and no secret
stands in the supervisor's own configuration. `exec` keeps the pid: a signal reaches the service itself.
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
    """The services that the profile names; raises ProfileError for one without a folder or without its needs."""
    profile.home  # noqa: B018 - raises where nothing runs on this machine
    names = profile.stack.services if profile.stack else []
    known = sorted(p.parent.name for p in (ROOT / "services").glob("*/native.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ProfileError(
            f"{profile.path}: stack.services: no service {', '.join(unknown)}", f"known are {', '.join(known)}"
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
    """Whether the service was started with other settings than those of the profile as it is now."""
    try:
        salt, found = _settings_file(one.name, profile).read_text().split()
    except (FileNotFoundError, ValueError):
        return True
    return found != digest_of_settings(one, profile, salt)


def write_settings(one: Service, profile: Profile) -> None:
    """Write down, for ``changed`` and for nobody else to read, what the service is started with."""
    salt, file = secrets.token_hex(16), _settings_file(one.name, profile)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(f"{salt} {digest_of_settings(one, profile, salt)}")


def digest_of_settings(one: Service, profile: Profile, salt: str) -> str:
    """A hash of all that a start of the service takes from the profile, secrets included; hence the salt."""
    settings: object
    if one.settings is not None:
        settings = one.settings(profile)
    else:
        command = one.command(profile)
        # PATH is the terminal's and not the profile's.
        settings = command.arguments, sorted(item for item in command.environment.items() if item[0] != "PATH")
    return digest(repr(settings), salt)


def become(name: str, profile: Profile) -> None:
    """Replace this process by the service's own; never returns unless exec fails."""
    run = profile.home / "run"
    run.mkdir(parents=True, exist_ok=True)
    _note_start(run / f"{name}.starts", profile.home / "logs" / f"{name}.log")
    # Before the command is made: a JVM takes no notice of TMPDIR and must be given it in an argument.
    os.environ["TMPDIR"] = str(state.temporary(profile.home, name))
    one = service(name)
    command = one.command(profile)
    if command.directory:
        command.directory.mkdir(parents=True, exist_ok=True)
        os.chdir(command.directory)
    # For a stack whose supervisord was killed: the next `up` or `down` ends what is written down here.
    (run / f"{name}.pid").write_text(f"{os.getpid()} {psutil.Process().create_time()}")
    write_settings(one, profile)
    sys.stdout.flush()
    os.execvpe(command.arguments[0], command.arguments, {**os.environ, **LOCALE, **command.environment})


def _note_start(file: Path, log: Path) -> None:
    """Add this moment and the log's length in bytes: supervisord does not tell how often it started a program again."""
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
