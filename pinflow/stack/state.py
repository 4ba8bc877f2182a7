"""What a stack has written into its directory, and how it is deleted: nothing that somebody else put there."""

from __future__ import annotations

import shutil
from pathlib import Path

from pinflow.profile import ROOT
from pinflow.stack.start import Say

# Beside a directory for each service: the launcher's, the supervisor's, the emulator's books and undelivered posts.
_OWN = ("logs", "posts", "run", "spill", "supervisor")


def held(home: Path) -> list[Path]:
    """What lies in a stack's directory and is pinflow's own."""
    services = [file.parent.name for file in (ROOT / "services").glob("*/native.py")]
    return [path for name in sorted([*services, *_OWN]) if (path := home / name).exists() or path.is_symlink()]


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
