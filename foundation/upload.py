"""Which files of a folder are uploaded to a Databricks workspace, and which are skipped."""

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
"""Bytes; the largest file that Databricks' Workspace API imports."""
MAX_FILES = 1000
MAX_BYTES = 100 << 20
"""Bytes of a whole upload. Notebooks and modules are far smaller; data belongs in dbfs:/ or S3."""
# A folder with more entries counts as too large: a whole disk has millions.
_MAX_SEEN = 100_000

_CACHES = {"__pycache__", ".git", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".DS_Store"}
_PACKAGES = {"node_modules", "site-packages"}
_OF_ENVIRONMENT = {"pyvenv.cfg", "conda-meta"}
_CODE = {".py", ".ipynb", ".sql"}
# Folders with keys and tokens in files whose own names do not begin with a dot.
_KEY_FOLDERS = {".aws", ".azure", ".config", ".docker", ".gnupg", ".kube", ".ssh"}
_SYSTEM = {"boot", "dev", "etc", "proc", "sys"}
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY|\APuTTY-User-Key-File")


@dataclass(frozen=True)
class Upload:
    """The files of ``folder`` to upload, and the skipped paths by reason; a directory's path ends with a slash.

    ``folder`` and ``files`` are resolved.
    """

    folder: Path
    files: list[Path]
    skipped: dict[str, list[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

    def first(self, most: int) -> str:
        """The first names, and how many more there are."""
        return _first([str(file.relative_to(self.folder)) for file in self.files], most)

    def notes(self) -> list[str]:
        """A line for each reason why something is skipped."""
        return [f"skipped, {reason}: {_first(paths, 5)}" for reason, paths in self.skipped.items()]


class TooLarge(PinflowError):
    """The folder has more files or bytes than an upload may have."""


def of_folder(folder: Path, private: bool) -> Upload:
    """The files of a folder, and of all folders below it, to upload.

    Skips hidden files and folders, installed packages such as virtual environments, caches, links to skipped files,
    anything that is not a regular file, and files over 10 MB. Without ``private`` it also skips what git ignores and
    private keys, because people keep secrets beside their code.

    Raises PinflowError for a folder that cannot be a project (the home directory, /etc), TooLarge for too many files.
    """
    if not folder.is_dir():
        raise PinflowError(f"sync: {folder} is not a folder", "make sync DIR=path/to/folder")
    folder = folder.resolve()
    if wrong := _why_not_a_project(folder):
        raise PinflowError(f"sync: {folder} {wrong}", "put what the workspace needs into a folder of its own")
    return _Selection(folder, private).whole()


def of_notebook(notebook: Path, private: bool) -> Upload:
    """A notebook's whole folder, so that %run, imports and relative paths find their files.

    If that folder cannot be a project or is too large: only the notebook and the notebooks and modules beside it.
    Raises PinflowError if the notebook itself cannot be uploaded.
    """
    notebook = notebook.resolve()
    if notebook.stat().st_size > MAX_FILE:
        raise PinflowError(f"notebook: {notebook} is over {MAX_FILE >> 20} MB", "clear its outputs")
    folder, reason = notebook.parent, _why_not_a_project(notebook.parent)
    if not reason:
        try:
            return _Selection(folder, private, notebook).whole()
        except TooLarge as error:
            reason = f"is too large ({error.what.rpartition(': ')[2]})"
    return _Selection(folder, private, notebook).code_only(f"because {folder} {reason}")


class _Selection:
    """Selects the files of one folder; ``named`` is always uploaded, because the user named it."""

    def __init__(self, folder: Path, private: bool, named: Path | None = None) -> None:
        self._folder, self._private, self._named = folder, private, named
        self._files: list[Path] = []
        self._links: list[Path] = []
        self._skipped: dict[str, list[str]] = {}

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
        self._skipped = {reason: ["everything except the notebooks and modules beside this one"]}
        return self._upload()

    def _upload(self) -> Upload:
        if not self._private:
            for file in _ignored_by_git([file for file in self._files if file != self._named]):
                self._files.remove(file)
                self._skip(file, "ignored by git")
        files = set(self._files)
        for link in self._links:
            if link.resolve() in files:
                self._files.append(link)
            else:
                self._skip(link, "link to a skipped file")
        size = sum(file.stat().st_size for file in self._files)
        if len(self._files) > MAX_FILES or size > MAX_BYTES:
            raise self._too_large(f"{len(self._files):,} files, {size / (1 << 20):,.0f} MB")
        ordered = {reason: sorted(self._skipped[reason]) for reason in sorted(self._skipped)}
        return Upload(self._folder, sorted(self._files), ordered)

    def _enters(self, directory: Path) -> bool:
        if directory.name in _CACHES:
            return False
        if reason := self._why_not_enter(directory):
            self._skip(directory, reason)
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
                self._skip(file, reason)
            else:
                self._files.append(file)

    def _why_not(self, file: Path) -> str:
        if file.name.startswith("."):
            return "hidden"
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if not os.access(file, os.R_OK):
            return "not readable"
        if status.st_size > MAX_FILE:
            return f"over {MAX_FILE >> 20} MB (put data in dbfs:/ or S3)"
        if not self._private and _holds_private_key(file):
            return "private key"
        return ""

    def _unreadable(self, error: OSError) -> None:
        if Path(error.filename) == self._folder:
            raise PinflowError(f"sync: {self._folder}: {brief(error)}")
        self._skip(Path(error.filename), "not readable")

    def _skip(self, path: Path, reason: str) -> None:
        slash = "/" if path.is_dir() and not path.is_symlink() else ""
        self._skipped.setdefault(reason, []).append(f"{path.relative_to(self._folder)}{slash}")

    def _too_large(self, found: str) -> TooLarge:
        parts = Counter(_part(file.relative_to(self._folder)) for file in self._files)
        most = ", ".join(f"{name} {count:,}" for name, count in parts.most_common(3))
        limits = f"an upload takes {MAX_FILES:,} files and {MAX_BYTES >> 20} MB"
        return TooLarge(
            f"sync: {self._folder} is too large for a workspace (most files: {most}; {limits}): {found}",
            "put data in dbfs:/ or S3, or sync only the folder with the notebooks",
        )


def _part(path: Path) -> str:
    return f"{path.parts[0]}/" if len(path.parts) > 1 else "."


def _why_not_a_project(folder: Path) -> str:
    """Why a folder cannot be a project; empty if it can."""
    home = Path("~").expanduser().resolve()
    if folder == home:
        return "is your home directory"
    if home.is_relative_to(folder) or _SYSTEM.intersection(folder.parts[1:2]):
        return "holds more than a project"
    if folder.name.startswith(".") or _KEY_FOLDERS & set(folder.parts):
        return "is a hidden folder, where programs keep keys and settings"
    return ""


def _ignored_by_git(files: list[Path]) -> list[Path]:
    """The files that git ignores, according to each repository that a file is in (one may lie within another).

    A folder with a .gitignore but no repository, such as an unpacked download, is treated as a repository.
    Raises PinflowError if git fails: then a file might be uploaded that git would ignore.
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
    # The outermost one: git also reads those below it.
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
        f"sync: {repository}: cannot find out which files git ignores: {why}",
        "fix that, or add --private to upload ignored files too",
    )


def _holds_private_key(file: Path) -> bool:
    """Reads the whole file, of 10 MB at most: a key may follow its chain of certificates."""
    return bool(_PRIVATE_KEY.search(file.read_bytes()))


def _first(names: Iterable[str], most: int) -> str:
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
