"""What a stack has written into its directory, and how to delete it without touching anybody else's files."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from foundation.profile import ROOT
from foundation.service import Say

# Directories besides the services': of the launcher, the supervisor, the emulator, and temporary files.
_OWN = ("logs", "posts", "run", "spill", "supervisor", "tmp")


def held(home: Path) -> list[Path]:
    """The entries of a stack's directory that pinflow wrote."""
    services = [file.parent.name for file in (ROOT / "services").glob("*/native.py")]
    return [path for name in sorted([*services, *_OWN]) if (path := home / name).exists() or path.is_symlink()]


def temporary(home: Path, service: str) -> Path:
    """A new, empty temporary directory for this process, which is about to become the service.

    Deletes those of earlier starts, because a killed service has not. A notebook or task that still runs, because
    only its service was killed, keeps its directory until the next start.
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
    """Every process of this stack's services, even if its service is gone: recognised by its TMPDIR."""
    places = (f"{home}/tmp/", f"{home}/spark/tmp")
    return [process for process in psutil.process_iter() if (_temporary(process) or "").startswith(places)]


def _temporary(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):
        return process.environ().get("TMPDIR")
    return None


def delete(home: Path, say: Say) -> None:
    """Delete what pinflow wrote, and the directory itself if nothing else is in it."""
    for path in held(home):
        remove(path)
    left = sorted(path.name for path in home.iterdir()) if home.exists() else []
    if left:
        say(f"deleted the state in {home}; kept, because pinflow did not write it: {', '.join(left)}")
        return
    if home.exists():
        home.rmdir()
    say(f"deleted {home}")


def remove(path: Path) -> None:
    """Delete a file or a directory with its contents; of a link, only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
