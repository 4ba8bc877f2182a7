"""%pip: libraries of one notebook run go to a directory of its own; the cluster's environment stays as it is.

https://docs.databricks.com/libraries/notebooks-python-libraries.html
"""

from __future__ import annotations

import importlib
import importlib.metadata
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

TAKES_VALUE = ("-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "-e")
PATIENCE = ["--retries", "1", "--timeout", "15", "--disable-pip-version-check", "--no-input"]


class PipFailed(Exception):
    """pip did not do it; its own words stand above."""


class Pip:
    """`%pip` of one run: `directory` is where libraries are installed, `local` reads paths such as /dbfs/..."""

    def __init__(self, directory: Path, local: Callable[[str], str]) -> None:
        self._directory, self._local = directory, local

    def run(self, line: str) -> None:
        """`install requests==2.31`, `list`, ... Raises PipFailed."""
        words = [self._local(word) for word in shlex.split(line, comments=True)]
        if words[:1] == ["install"]:
            self._install(words[1:])
        elif words[:1] == ["uninstall"]:
            print("%pip uninstall: the cluster's libraries stay as they are; this run's own end with it")
        else:
            self._call(words)

    def _install(self, words: list[str]) -> None:
        upgrade = "--upgrade" in words or "-U" in words
        wanted = []
        for word, before in zip(words, ["", *words], strict=False):
            installed = "" if upgrade or word.startswith("-") or before in TAKES_VALUE else _installed(word)
            if installed:
                print(f"Requirement already satisfied: {word} ({installed})")
            else:
                wanted.append(word)
        values = [word for word, before in zip(wanted, ["", *wanted], strict=False) if before in TAKES_VALUE]
        if not values and all(word.startswith("-") for word in wanted):
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        constraints = self._directory.with_suffix(".constraints")
        constraints.write_text(_constraints(wanted), encoding="utf-8")
        self._call(["install", *PATIENCE, "--target", str(self._directory), "-c", str(constraints), *wanted])
        if str(self._directory) not in sys.path:
            sys.path.insert(0, str(self._directory))
        importlib.invalidate_caches()

    def _call(self, words: list[str]) -> None:
        command = [sys.executable, "-m", "pip", *words]
        status = subprocess.call(command)
        if status:
            raise PipFailed(
                f"Command '%pip {shlex.join(words[:1])}' returned non-zero exit status {status}. Its last lines above "
                "say why; without a network only libraries that the cluster has already can be used."
            )


def _installed(word: str) -> str:
    """The installed version that satisfies a requirement, "" if none does or the word is none."""
    try:
        requirement = Requirement(word)
        version = importlib.metadata.version(requirement.name)
    except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
        return ""
    return version if not requirement.url and requirement.specifier.contains(version, prereleases=True) else ""


def _constraints(wanted: list[str]) -> str:
    """The cluster's own libraries keep their versions, so that what is imported already still fits."""
    names = {word.split("=")[0].split("[")[0].split("<")[0].split(">")[0].lower() for word in wanted}
    installed = {each.metadata["Name"].lower(): each.version for each in importlib.metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(installed.items()) if name not in names)
