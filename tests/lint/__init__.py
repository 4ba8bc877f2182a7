"""What `make lint` checks beside ruff and mypy: notebooks, links between the pages, plain words."""

from __future__ import annotations

import subprocess
from pathlib import Path

from foundation.profile import ROOT


def tracked(*patterns: str) -> list[Path]:
    """The files of the repository that match, new ones too: what git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [path for name in names if name and (path := ROOT / name).is_file()]
