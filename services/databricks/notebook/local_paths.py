"""Paths of a Databricks driver in ordinary Python: /dbfs/... and /Workspace/... in open, os and what uses them.

On Databricks these are file systems of the driver. Here Python's own functions are taught them: `/Workspace` is the
workspace's directory, `/databricks/driver` the one that the run started in; a file of `/dbfs` is fetched when it is
opened and written back when it is closed. Libraries that open files by themselves in C, and commands of %sh, do not
see /dbfs.
"""

from __future__ import annotations

import base64
import builtins
import io
import os
import posixpath
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .filesystem import Control
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
        """Of /Workspace/a and /databricks/driver/a; any other path as it is."""
        text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
        if isinstance(text, str) and text.startswith("/Workspace/"):
            return str(self._workspace.file(text))
        if isinstance(text, str) and (text == DRIVER or text.startswith(DRIVER + "/")):
            return str(self._driver) + text.removeprefix(DRIVER)
        return path

    def url(self, url: Any) -> Any:
        """The same of file:/Workspace/a and file:/databricks/driver/a, for Spark and dbutils; dbfs:/a of file:/dbfs/a.

        Of a list, of each; any other value as it is.
        """
        if isinstance(url, list | tuple):
            return [self.url(each) for each in url]
        found = re.fullmatch(r"file:/*(/.*)", url, re.DOTALL) if isinstance(url, str) else None
        if not found:
            return url
        path = self.path(found[1])
        return _dbfs_path(path) or (f"file:{path}" if path != found[1] else url)


def install(control: Control, on_disk: OnDisk, scratch: Path) -> Callable[[str], str]:
    """Teach Python these paths; returns what makes a local path of one, for other tools."""
    dbfs = Dbfs(control, scratch)

    def route(name: str, on_dbfs: Callable[..., Any]) -> None:
        original = getattr(os, name)

        def routed(path: Any = ".", *args: Any, **kwargs: Any) -> Any:
            found = _dbfs_path(path)
            return on_dbfs(found) if found else original(on_disk.path(path), *args, **kwargs)

        setattr(os, name, routed)

    original_open = io.open

    def open_anywhere(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        found = _dbfs_path(file)
        return (
            dbfs.open(found, mode, *args, **kwargs)
            if found
            else original_open(on_disk.path(file), mode, *args, **kwargs)
        )

    builtins.open = io.open = open_anywhere
    for name in ("stat", "lstat", "listdir", "mkdir", "remove", "rmdir"):
        route(name, getattr(dbfs, name))
    os.unlink = os.remove
    route("scandir", dbfs.scandir)
    for name in ("chmod", "utime"):
        route(name, lambda path: None)
    return lambda word: str(dbfs.fetch(found)) if (found := _dbfs_path(word)) else str(on_disk.path(word))


def _dbfs_path(path: Any) -> str | None:
    """dbfs:/a of /dbfs/a; None for every other path."""
    if not isinstance(path, str | os.PathLike):
        return None
    text = os.fspath(path)
    if not isinstance(text, str) or not (text == "/dbfs" or text.startswith("/dbfs/")):
        return None
    return "dbfs:" + (posixpath.normpath(text.removeprefix("/dbfs")) if text.rstrip("/") != "/dbfs" else "/")


class Dbfs:
    """Files of dbfs:/ by way of the control endpoint; `scratch` holds the open ones."""

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
        """As the built-in open."""
        if not set("rwax") & set(mode):
            raise ValueError(f"invalid mode: {mode!r}")
        writes = bool(set("wax+") & set(mode))
        if "x" in mode and self._status(path):
            raise FileExistsError(17, "File exists", _fuse(path))
        if "w" in mode or "x" in mode or ("a" in mode and not self._status(path)):
            local = self._new()
        else:
            local = self.fetch(path)
        raw = _Written(local, mode.replace("b", "").replace("t", ""), lambda: self._store(local, path), writes)
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
        status = self._status(path)
        if status is None:
            raise FileNotFoundError(2, "No such file or directory", _fuse(path))
        directory = status.get("isDir", status.get("is_dir", str(status.get("path", "")).endswith("/")))
        mode = stat.S_IFDIR | 0o777 if directory else stat.S_IFREG | 0o777
        when = int(status.get("modificationTime") or status.get("modification_time") or 0) // 1000
        size = int(status.get("size") or status.get("file_size") or 0)
        return os.stat_result((mode, 0, 0, 1, 0, 0, size, when, when, when))

    lstat = stat

    def listdir(self, path: str) -> list[str]:
        return [entry["name"].rstrip("/") for entry in self._call("/fs/ls", path)]

    def scandir(self, path: str) -> _Entries:
        return _Entries(_Entry(self, posixpath.join(path, name)) for name in self.listdir(path))

    def mkdir(self, path: str) -> None:
        if self._status(path):
            raise FileExistsError(17, "File exists", _fuse(path))
        self._call("/fs/mkdirs", path)

    def remove(self, path: str) -> None:
        self.stat(path)
        self._call("/fs/rm", path, recurse=False)

    rmdir = remove

    def _status(self, path: str) -> dict[str, Any] | None:
        try:
            status: dict[str, Any] = self._control("/fs/status", path=path)
        except ExecutionError as error:
            if "FileNotFound" in str(error):
                return None
            raise OSError(5, str(error), _fuse(path)) from None
        return status

    def _call(self, call: str, path: str, **values: Any) -> Any:
        try:
            return self._control(call, path=path, **values)
        except ExecutionError as error:
            if "FileNotFound" in str(error):
                raise FileNotFoundError(2, "No such file or directory", _fuse(path)) from None
            raise OSError(5, str(error), _fuse(path)) from None

    def _store(self, local: Path, path: str) -> None:
        try:
            with local.open("rb") as file:
                self._control.upload(path, file)
        except ExecutionError as error:
            raise OSError(5, str(error), _fuse(path)) from None
        finally:
            local.unlink()

    def _new(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._scratch)
        os.close(handle)
        return Path(name)


class _Written(io.FileIO):
    """A local file that goes back to dbfs when it is closed."""

    def __init__(self, local: Path, mode: str, store: Callable[[], None], writes: bool) -> None:
        super().__init__(local, mode.replace("x", "w"))
        self._store = store if writes else local.unlink

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._store()


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

    def __init__(self, entries: Any) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> _Entry:
        return next(self._entries)  # type: ignore[no-any-return]

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries = iter(())


def _fuse(path: str) -> str:
    return "/dbfs" + path.removeprefix("dbfs:").removesuffix("/")
