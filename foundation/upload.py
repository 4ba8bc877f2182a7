"""Which files of a folder go into a Databricks workspace, and which stay where they are."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from foundation.errors import PinflowError, brief

MAX_FILE = 10 << 20
"""Bytes of a file that Databricks' Workspace API imports."""
MAX_FILES = 1000
MAX_BYTES = 100 << 20
"""Bytes of an upload. Notebooks and modules are far smaller; data belongs into dbfs:/ or S3."""
# Entries that are looked at before a folder counts as too large: a disk has millions.
_MAX_SEEN = 100_000

_CACHES = {"__pycache__", ".git", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".DS_Store"}
_PACKAGES = {"node_modules", "site-packages"}
_OF_ENVIRONMENT = {"pyvenv.cfg", "conda-meta"}
_CODE = {".py", ".ipynb", ".sql"}
# Keys and tokens lie there in files whose own names do not begin with a dot.
_KEY_FOLDERS = {".aws", ".azure", ".config", ".docker", ".gnupg", ".kube", ".ssh"}
_SYSTEM = {"boot", "dev", "etc", "proc", "sys"}
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY|\APuTTY-User-Key-File")


@dataclass(frozen=True)
class Upload:
    """The files of ``folder`` that go, and by reason what stays: paths in the folder, a directory's ends with a slash.

    ``folder`` and ``files`` are resolved.
    """

    folder: Path
    files: list[Path]
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

    def first(self, most: int) -> str:
        """The first names, and how many more there are."""
        return _first([str(file.relative_to(self.folder)) for file in self.files], most)

    def notes(self) -> list[str]:
        """A line for each reason why something stays."""
        return [f"left out, {reason}: {_first(paths, 5)}" for reason, paths in self.left_out.items()]


class TooLarge(PinflowError):
    """A folder with more files or bytes than an upload takes."""


def of_folder(folder: Path, private: bool) -> Upload:
    """What of a folder goes into a workspace, with everything below it.

    Never: hidden files and folders, virtual environments and other installed packages, caches, links to what does not
    go, what is no regular file, files over 10 MB. Without ``private`` neither what git ignores nor private keys: there
    people keep secrets beside their code.

    Raises PinflowError for a folder that is no project's (the home directory, /etc), TooLarge for too many files.
    """
    if not folder.is_dir():
        raise PinflowError(f"sync: {folder} is not a folder", "make sync DIR=path/to/folder")
    folder = folder.resolve()
    if wrong := _no_projects(folder):
        raise PinflowError(f"sync: {folder} {wrong}", "put what the workspace needs into a folder of its own")
    return _Selection(folder, private).whole()


def of_notebook(notebook: Path, private: bool) -> Upload:
    """What goes with a notebook: all of its folder, so that %run, imports and relative paths find their files.

    Where that is no project's folder or too large: the notebook, and the notebooks and modules directly beside it.
    Raises PinflowError if the notebook itself cannot go.
    """
    notebook = notebook.resolve()
    if notebook.stat().st_size > MAX_FILE:
        raise PinflowError(f"notebook: {notebook} is over {MAX_FILE >> 20} MB", "clear its outputs")
    folder, reason = notebook.parent, _no_projects(notebook.parent)
    if not reason:
        try:
            return _Selection(folder, private, notebook).whole()
        except TooLarge as error:
            reason = f"is too large ({error.what.rpartition(': ')[2]})"
    return _Selection(folder, private, notebook).code_only(f"because {folder} {reason}")


class _Selection:
    """Goes through one folder; ``named`` is a file that goes whatever it is, for somebody named it."""

    def __init__(self, folder: Path, private: bool, named: Path | None = None) -> None:
        self._folder, self._private, self._named = folder, private, named
        self._files: list[Path] = []
        self._links: list[Path] = []
        self._left_out: dict[str, list[str]] = {}

    def whole(self) -> Upload:
        """Everything below the folder."""
        seen = 0
        for path, directories, files in os.walk(self._folder, onerror=self._unreadable):
            here = Path(path)
            seen += len(directories) + len(files)
            if seen > _MAX_SEEN:
                raise self._too_large(f"more than {_MAX_SEEN:,} entries")
            directories[:] = sorted(name for name in directories if self._enters(here / name))
            for name in files:
                self._add(here / name)
        return self._upload()

    def code_only(self, reason: str) -> Upload:
        """The notebooks and modules that are directly in the folder."""
        for file in self._folder.iterdir():
            if file.suffix in _CODE or file == self._named:
                self._add(file)
        self._left_out = {reason: ["all but the notebooks and modules directly beside this one"]}
        return self._upload()

    def _upload(self) -> Upload:
        if not self._private:
            for file in _ignored_by_git([file for file in self._files if file != self._named]):
                self._files.remove(file)
                self._leave_out(file, "ignored by git")
        files = set(self._files)
        for link in self._links:
            if link.resolve() in files:
                self._files.append(link)
            else:
                self._leave_out(link, "link to what does not go")
        size = sum(file.stat().st_size for file in self._files)
        if len(self._files) > MAX_FILES or size > MAX_BYTES:
            raise self._too_large(f"{len(self._files):,} files, {size / (1 << 20):,.0f} MB")
        ordered = {reason: sorted(self._left_out[reason]) for reason in sorted(self._left_out)}
        return Upload(self._folder, sorted(self._files), ordered)

    def _enters(self, directory: Path) -> bool:
        if directory.name in _CACHES:
            return False
        if reason := self._why_not_enter(directory):
            self._leave_out(directory, reason)
        return not reason

    def _why_not_enter(self, directory: Path) -> str:
        if directory.is_symlink():
            return "link to a folder"
        if directory.name.startswith("."):
            return "hidden"
        if directory.name in _PACKAGES or any((directory / name).exists() for name in _OF_ENVIRONMENT):
            return "installed packages"
        return ""

    def _add(self, file: Path) -> None:
        if file == self._named:
            self._files.append(file)
        elif file.is_symlink() and not file.name.startswith("."):
            self._links.append(file)
        elif file.name not in _CACHES:
            if reason := self._why_not(file):
                self._leave_out(file, reason)
            else:
                self._files.append(file)

    def _why_not(self, file: Path) -> str:
        if file.name.startswith("."):
            return "hidden"
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            return "no regular file"
        if not os.access(file, os.R_OK):
            return "not readable"
        if status.st_size > MAX_FILE:
            return f"over {MAX_FILE >> 20} MB (put data into dbfs:/ or S3)"
        if not self._private and _holds_private_key(file):
            return "private key"
        return ""

    def _unreadable(self, error: OSError) -> None:
        if Path(error.filename) == self._folder:
            raise PinflowError(f"sync: {self._folder}: {brief(error)}")
        self._leave_out(Path(error.filename), "not readable")

    def _leave_out(self, path: Path, reason: str) -> None:
        slash = "/" if path.is_dir() and not path.is_symlink() else ""
        self._left_out.setdefault(reason, []).append(f"{path.relative_to(self._folder)}{slash}")

    def _too_large(self, found: str) -> TooLarge:
        parts = Counter(_part(file.relative_to(self._folder)) for file in self._files)
        most = ", ".join(f"{name} {count:,}" for name, count in parts.most_common(3))
        limits = f"an upload takes {MAX_FILES:,} files and {MAX_BYTES >> 20} MB"
        return TooLarge(
            f"sync: {self._folder} is too large for a workspace (most files: {most}; {limits}): {found}",
            "put data into dbfs:/ or S3, or sync only the folder with the notebooks",
        )


def _part(path: Path) -> str:
    return f"{path.parts[0]}/" if len(path.parts) > 1 else "."


def _no_projects(folder: Path) -> str:
    """Why a folder is not one that somebody keeps a project in; empty if it may be one."""
    home = Path("~").expanduser().resolve()
    if folder == home:
        return "is your home directory"
    if home.is_relative_to(folder) or _SYSTEM.intersection(folder.parts[1:2]):
        return "holds more than a project"
    if folder.name.startswith(".") or _KEY_FOLDERS & set(folder.parts):
        return "is a hidden folder, where programs keep keys and settings"
    return ""


def _ignored_by_git(files: list[Path]) -> list[Path]:
    """Those of the files that git ignores, each asked of every repository that it is in, be it within another.

    A folder with a .gitignore and without a repository, such as an unpacked download, is asked as if it were one.
    Raises PinflowError where git cannot tell: nothing may go then that it might ignore.
    """
    repositories_of = {directory: _repositories(directory) for directory in {file.parent for file in files}}
    asked: dict[Path, list[Path]] = {}
    for file in files:
        for repository in repositories_of[file.parent]:
            asked.setdefault(repository, []).append(file)
    ignored = (file for repository, those in asked.items() for file in _ignored_in(repository, those))
    return list(dict.fromkeys(ignored))


def _repositories(directory: Path) -> list[Path]:
    parents = (directory, *directory.parents)
    found = [each for each in parents if (each / ".git").exists()]
    # The outermost of them: those below it are read as well.
    return found or [each for each in parents if (each / ".gitignore").is_file()][-1:]


def _ignored_in(repository: Path, files: list[Path]) -> list[Path]:
    names = b"\0".join(os.fsencode(file.relative_to(repository)) for file in files)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    with tempfile.TemporaryDirectory() as empty:
        try:
            if not (repository / ".git").exists():
                environment |= {"GIT_DIR": empty, "GIT_WORK_TREE": str(repository)}
                subprocess.run(["git", "init", "-q"], env=environment, capture_output=True, check=True, timeout=60)
            command = ["git", "-c", "core.fsmonitor=false", "-C", str(repository), "check-ignore", "-z", "--stdin"]
            asked = subprocess.run(command, env=environment, input=names, capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise _unknown(repository, brief(error)) from None
    if asked.returncode not in (0, 1):  # 1: it ignores none
        raise _unknown(repository, brief(OSError(asked.stderr.decode(errors="replace"))))
    return [repository / os.fsdecode(name) for name in asked.stdout.split(b"\0") if name]


def _unknown(repository: Path, why: str) -> PinflowError:
    return PinflowError(
        f"sync: {repository}: git does not say which files it ignores: {why}",
        "fix that, or add --private to send also files that git ignores",
    )


def _holds_private_key(file: Path) -> bool:
    """Of a file that may be uploaded, so of a few MB; a key may stand behind its chain of certificates."""
    return bool(_PRIVATE_KEY.search(file.read_bytes()))


def _first(names: Iterable[str], most: int) -> str:
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
