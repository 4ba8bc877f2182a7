"""Where the installed packages are: one venv per environment and one directory of jars per list."""

from __future__ import annotations

from pathlib import Path

from foundation.paths import PACKAGES


def python(environment: str) -> Path:
    """The interpreter of an environment: tool, localstack, spark or airflow-<version>."""
    return PACKAGES / "envs" / environment / "bin" / "python"


def jars(name: str) -> Path:
    """The directory with the jars of requirements/jars/<name>.txt."""
    return PACKAGES / "jars" / name
