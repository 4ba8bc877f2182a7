"""Where the repository and its installed packages are. Standard library only: the installer runs on a bare Python."""

from __future__ import annotations

import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / ".pinflow"


def shown(profile: Path) -> str:
    """A profile as a person types it after `PROFILE=`: by its name in profiles/, else by its path."""
    return profile.stem if profile.parent == ROOT / "profiles" else shlex.quote(str(profile))
