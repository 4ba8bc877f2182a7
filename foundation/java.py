"""Which Java runs Kafka and Spark. Standard library only: the installer runs on a bare Python."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from foundation.errors import PreflightError

OLDEST = 17
LOCALE = {"LC_ALL": "C.UTF-8"} if sys.platform == "linux" else {}
"""What a JVM needs in its environment to find a path with an accent: on Linux it decodes paths by the locale."""
_INSTALL = "install a JRE (Debian, Ubuntu: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17)"


def java() -> Path:
    """The java executable of $JAVA_HOME, else of PATH; raises PreflightError unless it runs and is 17 or newer."""
    home = os.environ.get("JAVA_HOME")
    # Where JAVA_HOME is set, Spark uses it whatever is on PATH.
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        missing = f"JAVA_HOME={home} has no bin/java" if home else "no `java` on PATH and no JAVA_HOME"
        raise PreflightError(f"Java: {missing}; Kafka and Spark need Java {OLDEST} or newer", _INSTALL)
    version = java_version(found)
    if version < OLDEST:
        raise PreflightError(
            f"Java: {found} is version {version}; Kafka and Spark need {OLDEST} or newer",
            f"{_INSTALL}; to keep both versions, set JAVA_HOME to the newer one",
        )
    return Path(found)


@functools.cache
def java_version(executable: str) -> int:
    """17 for "17.0.15", 8 for "1.8.0_402"; raises PreflightError where `java -version` fails, as macOS's stub does."""
    try:
        done = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, errors="replace", timeout=60, check=False
        )
        output, status = (done.stderr + done.stdout).strip(), f"status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        output, status = str(error), type(error).__name__
    version = re.search(r'version "(?:1\.)?(\d+)', output)
    if version is None or status != "status 0":
        first = output.splitlines()[0] if output else "no output"
        raise PreflightError(
            f"Java: `{executable} -version` failed ({status}): {first}; Kafka and Spark need {OLDEST} or newer",
            _INSTALL,
        )
    return int(version[1])
