"""dbutils.fs: files of dbfs:/, mounts and S3, through the cluster's control endpoint.

https://docs.databricks.com/dev-tools/databricks-utils.html#file-system-utility-dbutilsfs
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .api import Control

F = TypeVar("F", bound=Callable[..., Any])


class FileInfo(NamedTuple):
    """One entry of dbutils.fs.ls: path `dbfs:/a/b/`, name `b/` (directories end in /), bytes, epoch milliseconds."""

    path: str
    name: str
    size: int
    modificationTime: int

    def isDir(self) -> bool:
        return self.path.endswith("/")

    def isFile(self) -> bool:
        return not self.isDir()


class MountInfo(NamedTuple):
    """One entry of dbutils.fs.mounts."""

    mountPoint: str
    source: str
    encryptionType: str


def _also_called(**aliases: str) -> Callable[[F], F]:
    """Other names of arguments, in other versions of Databricks."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_aliases(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **{aliases.get(name, name): value for name, value in kwargs.items()})

        return with_aliases  # type: ignore[return-value]

    return decorate


class FileSystem:
    """dbutils.fs. `url` translates a file:/ URL of a Databricks driver into one of this machine."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.url: Callable[[str], str] = str

    @_also_called(dir="path")
    def ls(self, path: str) -> list[FileInfo]:
        """Lists the contents of a directory"""
        entries = self._control("/fs/ls", path=self.url(str(path)))
        return [FileInfo(e["path"], e["name"], e["size"], e.get("modificationTime", 0)) for e in entries]

    @_also_called(file="path", maxBytes="max_bytes")
    def head(self, path: str, max_bytes: int = 65536) -> str:
        """Returns up to the first 'maxBytes' bytes of the given file as a String encoded in UTF-8"""
        answer = self._control("/fs/head", path=self.url(str(path)), max_bytes=int(max_bytes))
        text: str = answer["text"]
        if answer.get("truncated") or len(text.encode()) >= int(max_bytes):
            print(f"[Truncated to first {max_bytes} bytes]")
        return text

    @_also_called(file="path")
    def put(self, path: str, contents: str, overwrite: bool = False) -> bool:
        """Writes the given String out to a file, encoded in UTF-8"""
        self._control("/fs/put", path=self.url(str(path)), contents=contents, overwrite=bool(overwrite))
        print(f"Wrote {len(contents.encode())} bytes.")
        return True

    @_also_called(dir="path")
    def mkdirs(self, path: str) -> bool:
        """Creates the given directory if it does not exist, also creating any necessary parent directories"""
        self._control("/fs/mkdirs", path=self.url(str(path)))
        return True

    @_also_called(from_="source", dest="to", recursive="recurse")
    def cp(self, source: str, to: str, recurse: bool = False) -> bool:
        """Copies a file or directory, possibly across FileSystems"""
        return self._two("/fs/cp", source, to, recurse)

    @_also_called(from_="source", dest="to", recursive="recurse")
    def mv(self, source: str, to: str, recurse: bool = False) -> bool:
        """Moves a file or directory, possibly across FileSystems"""
        return self._two("/fs/mv", source, to, recurse)

    @_also_called(dir="path", recursive="recurse")
    def rm(self, path: str, recurse: bool = False) -> bool:
        """Removes a file or directory"""
        return bool(self._control("/fs/rm", path=self.url(str(path)), recurse=bool(recurse)).get("removed"))

    @_also_called(mountPoint="mount_point", extraConfigs="extra_configs", encryptionType="encryption_type")
    def mount(
        self,
        source: str,
        mount_point: str,
        encryption_type: str | None = None,
        owner: str | None = None,
        extra_configs: dict[str, str] | None = None,
    ) -> bool:
        """Mounts the given source directory into DBFS at the given mount point"""
        return self._mount("/mounts/mount", source, mount_point, encryption_type, extra_configs)

    @_also_called(mountPoint="mount_point", extraConfigs="extra_configs", encryptionType="encryption_type")
    def updateMount(
        self,
        source: str,
        mount_point: str,
        encryption_type: str | None = None,
        owner: str | None = None,
        extra_configs: dict[str, str] | None = None,
    ) -> bool:
        """Similar to mount(), but updates an existing mount point instead of creating a new one"""
        return self._mount("/mounts/update", source, mount_point, encryption_type, extra_configs)

    @_also_called(mountPoint="mount_point")
    def unmount(self, mount_point: str) -> bool:
        """Deletes a DBFS mount point"""
        self._control("/mounts/unmount", mount_point=str(mount_point))
        print(f"{mount_point} has been unmounted.")
        return True

    def mounts(self) -> list[MountInfo]:
        """Displays information about what is mounted within DBFS"""
        entries = self._control("/mounts/list", call="mounts")
        return [MountInfo(e["mountPoint"], e["source"], e.get("encryptionType") or "") for e in entries]

    def refreshMounts(self) -> bool:
        """Forces all machines in this cluster to refresh their mount cache, ensuring they receive the most recent
        information"""
        self._control("/mounts/refresh", call="refreshMounts")
        print("Mounts successfully refreshed.")
        return True

    def _two(self, path: str, source: str, to: str, recurse: bool) -> bool:
        values: dict[str, Any] = {"from": self.url(str(source)), "to": self.url(str(to)), "recurse": bool(recurse)}
        self._control(path, **values)
        return True

    def _mount(self, path: str, source: str, point: str, encryption: str | None, extra: dict[str, str] | None) -> bool:
        self._control(
            path,
            source=str(source),
            mount_point=str(point),
            encryption_type=encryption or "",
            extra_configs={str(name): str(value) for name, value in (extra or {}).items()},
        )
        return True
