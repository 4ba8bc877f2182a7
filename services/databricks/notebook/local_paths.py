"""Paths of a Databricks driver in ordinary Python: /dbfs/... and /Workspace/... in open, os and what uses them.

On Databricks these are file systems of the driver. Here Python's own functions learn them (compat.route_paths):
`/Workspace` is the workspace's directory, `/databricks/driver` the one that the run started in; a file of `/dbfs` is
fetched when it is opened and written back when it is closed. Libraries that open files in C, and commands of %sh, do
not see /dbfs.
"""

from __future__ import annotations

import base64
import io
import os
import posixpath
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .api import Control
from .java_errors import ExecutionError
from .workspace import Workspace

DRIVER = "/databricks/driver"
"""The driver's first working directory on Databricks."""
CHUNK = 1 << 20
"""Bytes of one read, the limit of Databricks' own DBFS API."""


class OnDisk:
    """Where a driver's paths are on the disk of this machine."""

    def __init__(self, workspace: Workspace, driver: Path) -> None:
        self._workspace, self._driver = workspace, driver

    def path(self, path: Any) -> Any:
        """The real path of /Workspace/a and /databricks/driver/a; any other unchanged."""
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
        if isinstance(text, str) and text.startswith("/Workspace/"):
            return str(self._workspace.file(text))
        if isinstance(text, str) and (text == DRIVER or text.startswith(DRIVER + "/")):
            return str(self._driver) + text.removeprefix(DRIVER)
        return path

    def url(self, url: Any) -> Any:
        """The same for file:/Workspace/a and file:/databricks/driver/a, for Spark and dbutils; dbfs:/a of file:/dbfs/a.

        Of each URL in a list; any other value unchanged.
        """
        if isinstance(url, list | tuple):
            return [self.url(each) for each in url]
        found = re.fullmatch(r"file:/*(/.*)", url, re.DOTALL) if isinstance(url, str) else None
        if not found:
            return url
        path = self.path(found[1])
        return dbfs_path(path) or (f"file:{path}" if path != found[1] else url)


def dbfs_path(path: Any) -> str | None:
    """dbfs:/a of /dbfs/a; None for every other path."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not (text == "/dbfs" or text.startswith("/dbfs/")):
        return None
    return "dbfs:" + (posixpath.normpath(text.removeprefix("/dbfs")) if text.rstrip("/") != "/dbfs" else "/")


class Dbfs:
    """Files of dbfs:/ through the control endpoint, as Python's functions see them; ``scratch`` holds open files."""

    def __init__(self, control: Control, scratch: Path) -> None:
        self._control, self._scratch = control, scratch

    def open(
        self,
        path: str,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """Like the built-in open."""
        if not set("rwax") & set(mode):
            raise ValueError(f"invalid mode: {mode!r}")
        writes = bool(set("wax+") & set(mode))
        exists = self._exists(path) if set("xa") & set(mode) else True
        if "x" in mode and exists:
            raise FileExistsError(17, "File exists", _fuse(path))
        local = self._new() if set("wx") & set(mode) or not exists else self.fetch(path)
        done = (lambda: self._store(local, path)) if writes else local.unlink
        raw = _Local(local, mode.replace("b", "").replace("t", "").replace("x", "w"), done)
        if "+" in mode:
            binary: Any = io.BufferedRandom(raw)
        else:
            binary = io.BufferedWriter(raw) if writes else io.BufferedReader(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding or "utf-8", errors, newline)

    def fetch(self, path: str) -> Path:
        """A local copy. Raises FileNotFoundError, IsADirectoryError."""
        if stat.S_ISDIR(self.stat(path).st_mode):
            raise IsADirectoryError(21, "Is a directory", _fuse(path))
        local = self._new()
        offset = 0
        with local.open("wb") as file:
            while data := base64.b64decode(self._call("/fs/read", path, offset=offset, length=CHUNK)["data"]):
                offset += file.write(data)
        return local

    def stat(self, path: str) -> os.stat_result:
        """Size, kind and time of change. Raises FileNotFoundError."""
        status = self._call("/fs/status", path)
        mode = (stat.S_IFDIR if str(status["path"]).endswith("/") else stat.S_IFREG) | 0o777
        when = int(status.get("modificationTime") or 0) // 1000
        return os.stat_result((mode, 0, 0, 1, 0, 0, int(status.get("size") or 0), when, when, when))

    lstat = stat

    def listdir(self, path: str) -> list[str]:
        return [entry["name"].rstrip("/") for entry in self._call("/fs/ls", path)]

    def scandir(self, path: str) -> _Entries:
        return _Entries([_Entry(self, posixpath.join(path, name)) for name in self.listdir(path)])

    def mkdir(self, path: str) -> None:
        if self._exists(path):
            raise FileExistsError(17, "File exists", _fuse(path))
        self._call("/fs/mkdirs", path)

    def remove(self, path: str) -> None:
        self.stat(path)
        self._call("/fs/rm", path, recurse=False)

    rmdir = remove

    def _exists(self, path: str) -> bool:
        try:
            return bool(self._call("/fs/status", path))
        except FileNotFoundError:
            return False

    def _call(self, call: str, path: str, **values: Any) -> Any:
        with _as_os_errors(path):
            return self._control(call, path=path, **values)

    def _store(self, local: Path, path: str) -> None:
        try:
            with _as_os_errors(path), local.open("rb") as file:
                self._control.upload(path, file)
        finally:
            local.unlink()

    def _new(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._scratch)
        os.close(handle)
        return Path(name)


class _Local(io.FileIO):
    """A local copy of a file; ``done`` writes it back, or deletes it, when it is closed."""

    def __init__(self, local: Path, mode: str, done: Callable[[], None]) -> None:
        super().__init__(local, mode)
        self._done = done

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._done()


class _Entry:
    """os.DirEntry of a path below /dbfs."""

    def __init__(self, dbfs: Dbfs, path: str) -> None:
        self._dbfs, self._path = dbfs, path
        self.name, self.path = posixpath.basename(path), _fuse(path)

    def __fspath__(self) -> str:
        return self.path

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return self._dbfs.stat(self._path)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISDIR(self.stat().st_mode)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return not self.is_dir()

    def is_symlink(self) -> bool:
        return False


class _Entries:
    """What os.scandir returns: an iterator that is a context manager."""

    def __init__(self, entries: list[_Entry]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[_Entry]:
        return self._entries

    def __next__(self) -> _Entry:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


@contextmanager
def _as_os_errors(path: str) -> Iterator[None]:
    try:
        yield
    except ExecutionError as error:
        if "FileNotFound" in str(error):
            raise FileNotFoundError(2, "No such file or directory", _fuse(path)) from None
        raise OSError(5, str(error), _fuse(path)) from None


def _fuse(path: str) -> str:
    return "/dbfs" + path.removeprefix("dbfs:").removesuffix("/")
