"""Files of dbfs:/, of mounts, of S3 and of the cluster's own disk, as dbutils.fs and the DBFS API use them.

A path is looked up in the mounts here and then asked for where it really is: so a directory that holds a mount can be
listed without asking S3, and whole directories can be renamed below one mount.
"""

from __future__ import annotations

import base64
import codecs
import json
import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from services.spark.failures import JAVA_ERRORS, JavaFailure, already_exists, illegal, not_found, of_java
from services.spark.hadoop import S3_SCHEMES, Hadoop
from services.spark.local_disk import LocalDisk
from services.spark.mounts import Mount, Mounts, within

CHUNK = 1 << 20
MAX_READ = 16 << 20
"""Bytes of one read or head; longer files are read piece by piece."""


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

    @property
    def dbfs(self) -> str | None:
        """The path in dbfs:/; None for another file system."""
        return self.shown.removeprefix("dbfs:") if self.shown.startswith("dbfs:") else None

    @property
    def local(self) -> str | None:
        """The path on the machine's disk; None for another file system."""
        return self.shown.removeprefix("file:") if self.shown.startswith("file:") else None

    @property
    def name(self) -> str:
        return posixpath.basename(self.shown)

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


class Files:
    """All that dbutils.fs does; every call raises JavaFailure with the exception that Databricks would show.

    ``root`` is the directory that dbfs:/ is; what may change in file:/ is for ``disk`` to say.
    """

    def __init__(self, hadoop: Hadoop, mounts: Mounts, root: Path, disk: LocalDisk) -> None:
        self._hadoop, self._mounts, self._root, self._disk = hadoop, mounts, str(root), disk

    def ls(self, path: str) -> list[dict[str, Any]]:
        """The entries of a directory by name, or the one of a file: path, name, size, modificationTime (ms), isDir."""
        with self._failures():
            place = self._place(path)
            status, mounted = self._status(place), self._mounted_below(place)
            if status is None and not mounted and not self._is_mount(place):
                raise not_found(_as_given(path))
            if status is not None and not status.isDirectory():
                return [_of(place, status)]
            found = self._list(place) if status is not None else []
            entries = {entry["name"]: entry for entry in [*found, *(_directory(place.below(name)) for name in mounted)]}
            return [entries[name] for name in sorted(entries)]

    def status(self, path: str) -> dict[str, Any]:
        """The entry of one path."""
        with self._failures():
            place = self._place(path)
            if self._is_mount(place) or self._mounted_below(place):
                return _directory(place.shown)
            return _of(place, self._existing(place, path))

    def head(self, path: str, max_bytes: int) -> dict[str, Any]:
        """The text of the first bytes, UTF-8; a character that they cut through is left out."""
        with self._failures():
            place = self._place(path)
            status = self._existing(place, path)
            if status.isDirectory():
                raise illegal(f"Cannot head a directory: {place.shown}")
            data = self._read(place, 0, min(max_bytes, MAX_READ))
            text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
            return {"text": text, "truncated": status.getLen() > len(data)}

    def read(self, path: str, offset: int, length: int) -> dict[str, Any]:
        """Bytes of a file from an offset, base64; fewer than asked for at its end."""
        with self._failures():
            place = self._place(path)
            status = self._existing(place, path)
            if status.isDirectory():
                raise illegal(f"Cannot read a directory: {place.shown}")
            data = self._read(place, offset, min(length, MAX_READ)) if offset < status.getLen() else b""
            return {"data": base64.b64encode(data).decode(), "bytes_read": len(data)}

    def write(self, path: str, source: Source, overwrite: bool) -> dict[str, Any]:
        """All of ``source`` into a file, in chunks. A file that could not be written to its end is not left behind."""
        with self._failures():
            place = self._writable(path)
            status = self._status(place)
            if self._is_mount(place) or (status is not None and status.isDirectory()):
                raise already_exists(f"{place.shown} (a directory)")
            if status is not None and not overwrite:
                raise already_exists(place.shown)
            return {"bytes_written": self._write(place, source)}

    def mkdirs(self, path: str) -> dict[str, Any]:
        """A directory and those above it."""
        with self._failures():
            place = self._writable(path)
            place.file_system.mkdirs(place.path)
            return {}

    def cp(self, source: str, to: str, recurse: bool) -> dict[str, Any]:
        """Copy a file (into a directory, if ``to`` is one), or what is in a directory; what is there is overwritten."""
        with self._failures():
            self._transfer(self._copy_file, source, to, recurse)
            return {}

    def mv(self, source: str, to: str, recurse: bool) -> dict[str, Any]:
        """As cp, and the source is gone."""
        with self._failures():
            place, target = self._removable(source), self._writable(to)
            self._require_no_mount(place)
            self._existing(place, source)
            if not self._renamed(place, target, recurse):
                self._transfer(self._copy_file, source, to, recurse)
                place.file_system.delete(place.path, True)
            return {}

    def rm(self, path: str, recurse: bool) -> dict[str, Any]:
        """Remove a file or directory; removed is False if there is none."""
        with self._failures():
            place = self._removable(path)
            self._require_no_mount(place)
            return {"removed": bool(place.file_system.delete(place.path, recurse))}

    def _place(self, given: str) -> Place:
        scheme, path = _parts(given)
        if scheme == "dbfs":
            shown = f"dbfs:{path}"
            mount = self._mount_of(path)
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

    def _writable(self, given: str) -> Place:
        place = self._place(given)
        if place.local is not None:
            self._disk.require_writable(place.local)
        return place

    def _removable(self, given: str) -> Place:
        place = self._place(given)
        if place.local is not None:
            self._disk.require_removable(place.local)
        return place

    def _mount_of(self, path: str) -> Mount | None:
        return next((mount for mount in self._mounts.all() if within(path, mount.point)), None)

    def _is_mount(self, place: Place) -> bool:
        return any(mount.point == place.dbfs for mount in self._mounts.all())

    def _mounted_below(self, place: Place) -> set[str]:
        """Names in this directory that are mount points, or lead to one."""
        if place.dbfs is None:
            return set()
        start = place.dbfs.rstrip("/") + "/"
        points = [mount.point for mount in self._mounts.all() if mount.point.startswith(start)]
        return {point.removeprefix(start).partition("/")[0] for point in points}

    def _require_no_mount(self, place: Place) -> None:
        if place.dbfs == "/":
            raise illegal("requirement failed: Cannot remove the root directory: dbfs:/")
        if self._is_mount(place) or self._mounted_below(place):
            raise illegal(f"requirement failed: {place.dbfs} is or holds a mount point: unmount it first")

    def _status(self, place: Place) -> Any | None:
        try:
            return place.file_system.getFileStatus(place.path)
        except JAVA_ERRORS as error:
            if of_java(error).java_class == "java.io.FileNotFoundException":
                return None
            raise

    def _existing(self, place: Place, given: str) -> Any:
        status = self._status(place)
        if status is None:
            raise not_found(_as_given(given))
        return status

    def _list(self, place: Place) -> list[dict[str, Any]]:
        """One call to the JVM for all entries: a call for each would take a millisecond an entry."""
        entries = []
        for status in json.loads(self._hadoop.as_json(place.file_system.listStatus(place.path))):
            shown = place.below(unquote(posixpath.basename(status["path"]["uri"].rstrip("/"))))
            entries.append(_entry(shown, status["isdir"], status["length"], status["modification_time"]))
        return entries

    def _read(self, place: Place, offset: int, length: int) -> bytes:
        stream = place.file_system.open(place.path)
        try:
            stream.seek(offset)
            return bytes(stream.readNBytes(length))
        finally:
            stream.close()

    def _write(self, place: Place, source: Source) -> int:
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

    def _transfer(self, one: Callable[[Place, Place], None], source: str, to: str, recurse: bool) -> None:
        entry, place, target = self.status(source), self._place(source), self._writable(to)
        if not entry["isDir"]:
            status = self._status(target)
            into = self._is_mount(target) or (status is not None and status.isDirectory())
            one(place, self._writable(target.below(place.name)) if into else target)
            return
        if not recurse:
            raise JavaFailure("java.io.IOException", f"{place.shown} is a directory: it needs recurse = true")
        if target.is_within(place):
            raise illegal(f"requirement failed: {target.shown} is in {place.shown}, which would be copied into itself")
        target.file_system.mkdirs(target.path)
        for entry in self.ls(source):
            name = entry["name"].rstrip("/")
            self._transfer(one, place.below(name), target.below(name), True)

    def _copy_file(self, place: Place, target: Place) -> None:
        if place.real == target.real:
            raise illegal(f"requirement failed: {place.shown} cannot be copied to itself")
        self._hadoop.copy(place.file_system, place.path, target.file_system, target.path)

    def _renamed(self, place: Place, target: Place, recurse: bool) -> bool:
        """Whether a rename did it: within one file system, to a path where nothing is yet."""
        same = place.path.toUri().resolve("/").equals(target.path.toUri().resolve("/"))
        into_itself = target.is_within(place)
        if not same or into_itself or self._is_mount(target) or self._status(target) is not None:
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
            failure = of_java(error)
            text = failure.text.replace(f"file:{self._root}/", "dbfs:/").replace(f"{self._root}/", "/")
            raise JavaFailure(failure.java_class, text) from None


def _parts(given: str) -> tuple[str, str]:
    """Scheme and normal path: `/a` and `dbfs:/a` are dbfs; `..` leads nowhere above the root."""
    if not given.strip():
        raise illegal("Can not create a Path from an empty string")
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", given, re.DOTALL)
    scheme, path = (found[1], found[2]) if found else ("dbfs", given)
    if scheme not in ("dbfs", "file", *S3_SCHEMES):
        raise JavaFailure("org.apache.hadoop.fs.UnsupportedFileSystemException", f'No FileSystem for scheme "{scheme}"')
    if not path.startswith("/") or "\0" in path:
        raise illegal(f"Path must be absolute: {given}")
    if scheme in S3_SCHEMES and (not path.startswith("//") or "@" in path.lstrip("/").partition("/")[0]):
        raise illegal(f"Not of the form {scheme}://bucket/path, without keys")
    return scheme, "/" + posixpath.normpath(path).strip("/")


def _as_given(path: str) -> str:
    """As Databricks names a path that is not there: without dbfs:, with every other scheme."""
    return path.removeprefix("dbfs:")


def _of(place: Place, status: Any) -> dict[str, Any]:
    return _entry(place.shown, status.isDirectory(), status.getLen(), status.getModificationTime())


def _directory(shown: str) -> dict[str, Any]:
    return _entry(shown, True, 0, 0)


def _entry(shown: str, directory: bool, size: int, modified: int) -> dict[str, Any]:
    slash = "/" if directory and not shown.endswith("/") else ""
    return {
        "path": shown + slash,
        "name": posixpath.basename(shown.rstrip("/")) + ("/" if directory else ""),
        "size": 0 if directory else size,
        "modificationTime": modified,
        "isDir": directory,
    }
