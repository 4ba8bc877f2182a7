"""Files of dbfs:/, of mounts, of S3 and of the cluster's own disk, as dbutils.fs and the DBFS API use them.

A path is looked up in the mounts first and then asked for where it really is: so a directory that holds a mount can be
listed without asking S3, and whole directories can be renamed below one mount.
"""

from __future__ import annotations

import base64
import codecs
import json
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from services.spark.failures import (
    JAVA_ERRORS,
    JavaFailure,
    already_exists,
    from_py4j_error,
    illegal,
    no_file_system,
    not_found,
)
from services.spark.hadoop import S3_SCHEMES, Hadoop
from services.spark.local_disk import LocalDisk
from services.spark.mounts import Mounts, normal, within

CHUNK = 1 << 20
MAX_READ = 16 << 20
"""Bytes of one read or head; longer files are read piece by piece."""

Entry = dict[str, Any]
"""path, name, size (bytes), modificationTime (ms since 1970), isDir; directories end with a slash."""


class Source(Protocol):
    """What a file is written from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


@dataclass(frozen=True)
class Place:
    """A path as notebooks write it (``shown``: dbfs:/a, s3a://b/a, file:/a), and where it is for Hadoop."""

    shown: str
    file_system: Any
    path: Any

    def path_in(self, scheme: str) -> str | None:
        """The path in dbfs or file; None in another file system."""
        return self.shown.removeprefix(f"{scheme}:") if self.shown.startswith(f"{scheme}:") else None

    @property
    def real(self) -> str:
        """The same for every name of one file: by two mounts of a bucket, by s3a:// and s3n://."""
        return str(self.path.toUri().getSchemeSpecificPart()).rstrip("/") or "/"

    def is_within(self, directory: Place) -> bool:
        """Whether it is a directory or below it: as it is shown, through mounts, or where it really is."""
        return within(self.shown, directory.shown) or within(self.real, directory.real)

    def below(self, name: str) -> str:
        """The path, as notebooks write it, of an entry of this directory."""
        return f"{self.shown.rstrip('/')}/{name}"

    def status(self) -> Any | None:
        """Hadoop's FileStatus; None if there is nothing."""
        try:
            return self.file_system.getFileStatus(self.path)
        except JAVA_ERRORS as error:
            if from_py4j_error(error).java_class == "java.io.FileNotFoundException":
                return None
            raise


class Files:
    """All that dbutils.fs does; every call raises JavaFailure with the exception that Databricks would show.

    ``root`` is the directory that dbfs:/ is; ``disk`` says what may change in file:/.
    """

    def __init__(self, hadoop: Hadoop, mounts: Mounts, root: Path, disk: LocalDisk) -> None:
        self._hadoop, self._mounts, self._root, self._disk = hadoop, mounts, str(root), disk

    def ls(self, path: str) -> list[Entry]:
        """The entries of a directory, sorted by name, or the one of a file."""
        with self._failures():
            place = self._place(path)
            status, mounted = place.status(), self._mounted_below(place)
            if status is None and not mounted and not self._is_mount(place):
                raise not_found(_without_dbfs(path))
            if status is not None and not status.isDirectory():
                return [_of_status(place, status)]
            found = self._list(place) if status is not None else []
            entries = {entry["name"]: entry for entry in [*found, *(_entry(place.below(name)) for name in mounted)]}
            return [entries[name] for name in sorted(entries)]

    def status(self, path: str) -> Entry:
        """The entry of one path."""
        with self._failures():
            place = self._place(path)
            if self._is_mount(place) or self._mounted_below(place):
                return _entry(place.shown)
            return _of_status(place, _existing(place, path))

    def head(self, path: str, max_bytes: int) -> dict[str, Any]:
        """The text of the first bytes, UTF-8, without a character that they cut through."""
        with self._failures():
            data, size = self._read("head", path, 0, max_bytes)
            text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
            return {"text": text, "truncated": size > len(data)}

    def read(self, path: str, offset: int, length: int) -> dict[str, Any]:
        """Bytes of a file from an offset, base64; fewer than asked for at its end."""
        with self._failures():
            data, _ = self._read("read", path, offset, length)
            return {"data": base64.b64encode(data).decode(), "bytes_read": len(data)}

    def write(self, path: str, source: Source, overwrite: bool) -> dict[str, Any]:
        """All of ``source`` into a file, in chunks. A file that could not be written to its end is deleted."""
        with self._failures():
            place = self._writable(path)
            status = place.status()
            if self._is_mount(place) or (status is not None and status.isDirectory()):
                raise already_exists(f"{place.shown} (a directory)")
            if status is not None and not overwrite:
                raise already_exists(place.shown)
            return {"bytes_written": _write(place, source)}

    def mkdirs(self, path: str) -> None:
        """A directory and those above it."""
        with self._failures():
            place = self._writable(path)
            place.file_system.mkdirs(place.path)

    def cp(self, source: str, to: str, recurse: bool) -> None:
        """Copy a file (into a directory, if ``to`` is one) or what is in a directory, over existing files."""
        with self._failures():
            self._copy(source, to, recurse)

    def mv(self, source: str, to: str, recurse: bool) -> None:
        """As cp, and delete the source."""
        with self._failures():
            place, target = self._removable(source), self._writable(to)
            _existing(place, source)
            if not self._rename(place, target, recurse):
                self._copy(source, to, recurse)
                place.file_system.delete(place.path, True)

    def rm(self, path: str, recurse: bool) -> dict[str, Any]:
        """Delete a file or directory; removed is False if there is none."""
        with self._failures():
            place = self._removable(path)
            return {"removed": bool(place.file_system.delete(place.path, recurse))}

    def _place(self, path: str) -> Place:
        scheme, path = _parts(path)
        if scheme == "dbfs":
            shown = f"dbfs:{path}"
            mount = next((mount for mount in self._mounts.all() if within(path, mount.point)), None)
            if mount is not None:
                real = self._hadoop.path("s3a", mount.bucket, mount.prefix + path.removeprefix(mount.point) or "/")
            else:
                real = self._hadoop.path("file", "", (self._root + path).rstrip("/"))
        elif scheme == "file":
            shown, real = f"file:{path}", self._hadoop.path("file", "", path)
        else:
            bucket, _, key = path.strip("/").partition("/")
            shown, real = f"{scheme}://{bucket}/{key}", self._hadoop.path(scheme, bucket, f"/{key}")
        return Place(shown, self._hadoop.file_system(real), real)

    def _writable(self, path: str) -> Place:
        place = self._place(path)
        if (local := place.path_in("file")) is not None:
            self._disk.require_writable(local)
        return place

    def _removable(self, path: str) -> Place:
        place = self._place(path)
        if (local := place.path_in("file")) is not None:
            self._disk.require_removable(local)
        if place.shown == "dbfs:/":
            raise illegal("requirement failed: Cannot remove the root directory: dbfs:/")
        if self._is_mount(place) or self._mounted_below(place):
            raise illegal(f"requirement failed: {place.path_in('dbfs')} is or holds a mount point: unmount it first")
        return place

    def _is_mount(self, place: Place) -> bool:
        return any(mount.point == place.path_in("dbfs") for mount in self._mounts.all())

    def _mounted_below(self, place: Place) -> set[str]:
        """Names in this directory that are mount points, or lead to one."""
        path = place.path_in("dbfs")
        if path is None:
            return set()
        start = path.rstrip("/") + "/"
        points = [mount.point for mount in self._mounts.all() if mount.point.startswith(start)]
        return {point.removeprefix(start).partition("/")[0] for point in points}

    def _list(self, place: Place) -> list[Entry]:
        entries = []
        for status in json.loads(self._hadoop.as_json(place.file_system.listStatus(place.path))):
            shown = place.below(unquote(posixpath.basename(status["path"]["uri"].rstrip("/"))))
            entries.append(_entry(shown, status["isdir"], status["length"], status["modification_time"]))
        return entries

    def _read(self, call: str, path: str, offset: int, length: int) -> tuple[bytes, int]:
        """Bytes from an offset, and the size of the file."""
        place = self._place(path)
        status = _existing(place, path)
        if status.isDirectory():
            raise illegal(f"Cannot {call} a directory: {place.shown}")
        if offset >= status.getLen():
            return b"", status.getLen()
        stream = place.file_system.open(place.path)
        try:
            stream.seek(offset)
            return bytes(stream.readNBytes(min(length, MAX_READ))), status.getLen()
        finally:
            stream.close()

    def _copy(self, source: str, to: str, recurse: bool) -> None:
        entry, place, target = self.status(source), self._place(source), self._writable(to)
        if not entry["isDir"]:
            status = target.status()
            if self._is_mount(target) or (status is not None and status.isDirectory()):
                target = self._writable(target.below(posixpath.basename(place.shown)))
            if place.real == target.real:
                raise illegal(f"requirement failed: {place.shown} cannot be copied to itself")
            self._hadoop.copy(place.file_system, place.path, target.file_system, target.path)
            return
        if not recurse:
            raise JavaFailure("java.io.IOException", f"{place.shown} is a directory: it needs recurse = true")
        if target.is_within(place):
            raise illegal(f"requirement failed: {target.shown} is in {place.shown}, which would be copied into itself")
        target.file_system.mkdirs(target.path)
        for name in [entry["name"].rstrip("/") for entry in self.ls(source)]:
            self._copy(place.below(name), target.below(name), True)

    def _rename(self, place: Place, target: Place, recurse: bool) -> bool:
        """Whether a rename did it: within one file system, to a path where nothing exists yet."""
        same = place.path.toUri().resolve("/").equals(target.path.toUri().resolve("/"))
        if not same or target.is_within(place) or self._is_mount(target) or target.status() is not None:
            return False
        if place.file_system.getFileStatus(place.path).isDirectory() and not recurse:
            return False
        target.file_system.mkdirs(target.path.getParent())
        return bool(place.file_system.rename(place.path, target.path))

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Java's exceptions, without the directory that dbfs:/ is on this machine."""
        try:
            yield
        except JAVA_ERRORS as error:
            failure = from_py4j_error(error)
            text = failure.text.replace(f"file:{self._root}/", "dbfs:/").replace(f"{self._root}/", "/")
            raise JavaFailure(failure.java_class, text) from None


def _parts(path: str) -> tuple[str, str]:
    """Scheme and normal path: `/a` and `dbfs:/a` are dbfs; `..` leads nowhere above the root."""
    if not path.strip():
        raise illegal("Can not create a Path from an empty string")
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", path, re.DOTALL)
    scheme, rest = (found[1], found[2]) if found else ("dbfs", path)
    if scheme not in ("dbfs", "file", *S3_SCHEMES):
        raise no_file_system(scheme)
    if not rest.startswith("/") or "\0" in rest:
        raise illegal(f"Path must be absolute: {path}")
    if scheme in S3_SCHEMES and (not rest.startswith("//") or "@" in rest.lstrip("/").partition("/")[0]):
        raise illegal(f"Not of the form {scheme}://bucket/path, without keys")
    return scheme, normal(rest)


def _existing(place: Place, path: str) -> Any:
    """Hadoop's FileStatus of a place that ``path`` names; raises JavaFailure if there is nothing."""
    if (status := place.status()) is None:
        raise not_found(_without_dbfs(path))
    return status


def _write(place: Place, source: Source) -> int:
    stream = place.file_system.create(place.path, True)
    written = 0
    try:
        while chunk := source.read(CHUNK):
            stream.write(bytearray(chunk))
            written += len(chunk)
    except BaseException:
        if stream.hasCapability("fs.capability.outputstream.abortable"):
            stream.abort()
        stream.close()
        place.file_system.delete(place.path, False)
        raise
    stream.close()
    return written


def _without_dbfs(path: str) -> str:
    """As Databricks names a path that does not exist: without dbfs:, with every other scheme."""
    return path.removeprefix("dbfs:")


def _of_status(place: Place, status: Any) -> Entry:
    return _entry(place.shown, status.isDirectory(), status.getLen(), status.getModificationTime())


def _entry(shown: str, directory: bool = True, size: int = 0, modified: int = 0) -> Entry:
    return {
        "path": shown + ("/" if directory and not shown.endswith("/") else ""),
        "name": posixpath.basename(shown.rstrip("/")) + ("/" if directory else ""),
        "size": 0 if directory else size,
        "modificationTime": modified,
        "isDir": directory,
    }
