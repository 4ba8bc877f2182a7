"""What a stack has written into its directory, and how it is deleted: nothing that somebody else put there."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from foundation.profile import ROOT
from pinflow.stack.start import Say

# Beside a directory for each service: the launcher's, the supervisor's, the emulator's books and undelivered posts, and
# the services' temporary files.
_OWN = ("logs", "posts", "run", "spill", "supervisor", "tmp")


def held(home: Path) -> list[Path]:
    """What lies in a stack's directory and is pinflow's own."""
    services = [file.parent.name for file in (ROOT / "services").glob("*/native.py")]
    return [path for name in sorted([*services, *_OWN]) if (path := home / name).exists() or path.is_symlink()]


def temporary(home: Path, service: str) -> Path:
    """A new, empty directory for the temporary files of this process, which is about to become the service.

    Those of its earlier lives are deleted: what was killed has deleted nothing. Only a notebook or a task that still
    runs, because its service alone was killed, keeps its own until the next start.
    """
    lives = home / "tmp" / service
    lives.mkdir(mode=0o700, parents=True, exist_ok=True)
    used = set(filter(None, map(_temporary, psutil.process_iter())))
    for life in lives.iterdir():
        if str(life) not in used:
            with suppress(OSError):  # a process that ends just now may still write; the next start deletes it
                remove(life)
    own = lives / str(os.getpid())
    own.mkdir(mode=0o700, exist_ok=True)
    return own


def processes(home: Path) -> list[psutil.Process]:
    """Every process that a service of this stack is or has started, also one whose service is gone: by its TMPDIR."""
    places = (f"{home}/tmp/", f"{home}/spark/tmp")
    return [process for process in psutil.process_iter() if (_temporary(process) or "").startswith(places)]


def _temporary(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):
        return process.environ().get("TMPDIR")
    return None


def delete(home: Path, say: Say) -> None:
    """Delete that, and the directory itself where nothing else is in it."""
    for path in held(home):
        remove(path)
    left = sorted(path.name for path in home.iterdir()) if home.exists() else []
    if left:
        say(f"deleted the state in {home}; not pinflow's, and left there: {', '.join(left)}")
        return
    if home.exists():
        home.rmdir()
    say(f"deleted {home}")


def remove(path: Path) -> None:
    """Delete a file or a directory with all that is in it; of a link the link only."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
