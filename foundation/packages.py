"""Where the installed packages are: one venv per environment and one directory of jars per list."""

from __future__ import annotations

import sys
from pathlib import Path

from foundation.errors import PreflightError
from foundation.profile import ROOT
from pinflow import install

PACKAGES = ROOT / ".pinflow"
LOCALE = {"LC_ALL": "C.UTF-8"} if sys.platform == "linux" else {}
"""What a JVM needs in its environment to find a path with an accent: on Linux it decodes paths by the locale."""


def python(environment: str) -> Path:
    """The interpreter of an environment: tool, localstack, spark or airflow-<version>."""
    return PACKAGES / "envs" / environment / "bin" / "python"


def jars(name: str) -> Path:
    """The directory with the jars of requirements/jars/<name>.txt."""
    return PACKAGES / "jars" / name


def java() -> Path:
    """The java executable: $JAVA_HOME's, else the one on PATH; raises PreflightError unless it is 17 or newer."""
    try:
        return Path(install.java())
    except install.InstallError as error:
        raise PreflightError(error.what, error.fix) from None
