"""Run the canaries of an environment that has no pytest: `<its python> FILE` prints what each function of FILE raised.

A file of canaries ends with ``report(globals())``; `results` runs it and `names` lists its functions.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def report(module: Mapping[str, Any]) -> None:
    """Call the functions of a module whose names start with `check_`; the last line is JSON: traceback or null."""
    raised: dict[str, str | None] = {}
    with contextlib.redirect_stdout(sys.stderr):
        for name in [name for name in module if name.startswith("check_")]:
            try:
                module[name]()
                raised[name] = None
            except BaseException:
                raised[name] = traceback.format_exc()
    print(json.dumps(raised))


def names(file: Path) -> list[str]:
    """The functions that `report` calls."""
    return re.findall(r"^def (check_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)


def results(python: Path, file: Path, environment: Mapping[str, str]) -> dict[str, str | None]:
    """What each function of a file raised in an environment; None where it raised nothing."""
    command = [str(python), "-W", "ignore", str(file)]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return found
