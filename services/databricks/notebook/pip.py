"""%pip: libraries of one notebook run go to a directory of its own; the cluster's environment stays unchanged.

https://docs.databricks.com/libraries/notebooks-python-libraries.html
"""

from __future__ import annotations

import importlib
import importlib.metadata
import posixpath
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

FILE, EDITABLE = ("-r", "--requirement"), ("-e", "--editable")
TAKES_VALUE = (
    *("-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target"),
    *("--trusted-host", "--proxy", "--no-binary", "--only-binary", "--timeout", "--retries", "--cache-dir", "--log"),
)
TIMEOUTS = ["--retries", "1", "--timeout", "15", "--disable-pip-version-check", "--no-input"]


class PipFailed(Exception):
    """pip failed; its own messages are above."""


class Pip:
    """`%pip` of one run. It installs into ``directory``; ``local`` translates paths such as /dbfs/..."""

    def __init__(self, directory: Path, local: Callable[[str], str]) -> None:
        self._directory, self._local = directory, local

    def run(self, line: str) -> None:
        """`install requests==2.31`, `list`, ... Raises PipFailed."""
        # A comment starts after a blank only: URLs contain # too.
        words = [self._local(word) for word in shlex.split(re.sub(r"(^|\s)#.*", "", line))]
        if words[:1] == ["install"]:
            self._install(words[1:])
        elif words[:1] == ["uninstall"]:
            print("%pip uninstall: the cluster's libraries stay; libraries of this run are deleted when it ends")
        else:
            self._call(words)

    def _install(self, words: list[str]) -> None:
        upgrade = "--upgrade" in words or "-U" in words
        wanted = []
        for word, kind, _ in _classified(words):
            if kind == "library" and not upgrade and (version := _installed(word)):
                print(f"Requirement already satisfied: {word} ({version})")
            else:
                wanted.append(word)
        if all(kind == "option" for _, kind, _ in _classified(wanted)):
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        constraints = self._directory.with_suffix(".constraints")
        versions = _versions()
        free = replaced(requirements(wanted), versions, upgrade)
        kept = [f"{name}=={version}\n" for name, version in sorted(versions.items()) if name not in free]
        constraints.write_text("".join(kept), encoding="utf-8")
        self._call(["install", *TIMEOUTS, "--target", str(self._directory), "-c", str(constraints), *wanted])
        if str(self._directory) not in sys.path:
            sys.path.insert(0, str(self._directory))
        importlib.invalidate_caches()

    def _call(self, words: list[str]) -> None:
        status = subprocess.call([sys.executable, "-m", "pip", *words])
        if status:
            raise PipFailed(
                f"Command '%pip {shlex.join(words[:1])}' returned non-zero exit status {status}. The lines above say "
                "why; without a network, only libraries that the cluster already has can be used."
            )


def requirements(words: Iterable[str]) -> Iterator[Requirement]:
    """What the arguments of `pip install` name, also in files of -r. Libraries without a name there are skipped."""
    for _, kind, value in _classified(words):
        if kind == "file" and value:
            yield from _of_file(Path(value))
        elif kind in ("editable", "library"):
            yield from _of_word(value)


def replaced(named: Iterable[Requirement], installed: Mapping[str, str], upgrade: bool) -> set[str]:
    """Canonical names of what may change its installed version, because another one is asked for.

    Everything else keeps its version, so that what is imported already still fits.
    """
    free = set()
    for requirement in named:
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        other = requirement.url or not requirement.specifier.contains(installed.get(name, "0"), prereleases=True)
        if applies and (upgrade or other):
            free.add(str(name))
    return free


def _classified(words: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Each argument of `pip install`, its kind (file, editable, library or option), and the file or library."""
    before = ""
    for word in words:
        option, _, value = word.partition("=")
        if before in FILE:
            yield word, "file", word
        elif before in EDITABLE:
            yield word, "editable", word
        elif before in TAKES_VALUE:
            yield word, "option", ""
        elif word.startswith("-"):
            for kind, names in (("file", FILE), ("editable", EDITABLE)):
                if named := value if option in names else word[2:] if word.startswith(names[0]) else "":
                    yield word, kind, named
                    break
            else:
                yield word, "option", ""
        else:
            yield word, "library", word
        before = word


def _of_file(file: Path) -> Iterator[Requirement]:
    """https://pip.pypa.io/en/stable/reference/requirements-file-format/"""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return  # pip reports what is wrong with it
    for line in text.replace("\\\n", "").splitlines():
        words = re.sub(r"(^|\s+)#.*", "", line).strip()
        if words.startswith("-"):
            option, _, value = words.replace("=", " ", 1).partition(" ")
            if option in FILE:
                yield from _of_file(file.parent / value.strip())
            elif option in EDITABLE:
                yield from _of_word(value.strip())
        elif words:
            # Without the options of one requirement, such as its hashes.
            yield from _of_word(re.split(r"\s--", words)[0])


def _of_word(word: str) -> Iterator[Requirement]:
    """`name[extra]>=1; marker`, `name @ url`, a wheel's or sdist's path or URL, a URL that ends in #egg=name."""
    try:
        yield Requirement(word)
        return
    except InvalidRequirement:
        location, _, fragment = word.partition("#")
    names = parse_qs(fragment).get("egg", [])
    file = posixpath.basename(unquote(location.partition("?")[0]))
    for parse in (parse_wheel_filename, parse_sdist_filename):
        with suppress(InvalidWheelFilename, InvalidSdistFilename):
            names.append(parse(file)[0])
    for name in names[:1]:
        with suppress(InvalidRequirement):  # pip reports what is wrong with it
            found = Requirement(name)
            found.url = word
            yield found


def _installed(word: str) -> str:
    """The installed version that satisfies a requirement; "" if none does, or if the word is no requirement."""
    try:
        requirement = Requirement(word)
        version = importlib.metadata.version(requirement.name)
    except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
        return ""
    # pip has to find out what an extra needs.
    plain = not requirement.url and not requirement.extras
    return version if plain and requirement.specifier.contains(version, prereleases=True) else ""


def _versions() -> dict[str, str]:
    """Canonical name and version of everything that is installed."""
    found = importlib.metadata.distributions()
    return {str(canonicalize_name(each.metadata["Name"])): each.version for each in found if each.metadata["Name"]}
