"""Where the installed packages are: one venv per environment and one directory of jars per list."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pinflow.errors import PreflightError
from pinflow.profile import ROOT

PACKAGES = ROOT / ".pinflow"


def python(environment: str) -> Path:
    """The interpreter of an environment: tool, localstack, spark or airflow-<version>."""
    return PACKAGES / "envs" / environment / "bin" / "python"


def jars(name: str) -> Path:
    """The directory with the jars of requirements/jars/<name>.txt."""
    return PACKAGES / "jars" / name


def java() -> Path:
    """The java executable: $JAVA_HOME's, else the one on PATH; raises PreflightError where there is none."""
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home, "bin", "java") if home else None
    if candidate and candidate.is_file():
        return candidate
    found = shutil.which("java")
    if found is None:
        raise PreflightError(
            "Java: no `java` on PATH and no JAVA_HOME; Kafka and Spark need Java 17 or newer",
            "install a JRE (Debian, Ubuntu: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17)",
        )
    return Path(found)
