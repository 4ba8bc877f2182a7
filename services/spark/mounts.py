"""Mounts: S3 buckets below dbfs:/, at run time, for every session of the cluster at once.

A mount is a link in the view that Hadoop shows as dbfs:/ (ViewFileSystemOverloadScheme), and its keys are settings of
its bucket. Both are in the driver's Hadoop configuration, and on disk in one file that only its owner can read.

https://docs.databricks.com/dbfs/mounts.html
"""

from __future__ import annotations

import json
import posixpath
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from foundation.private_file import write_private
from services.spark.failures import JavaFailure, illegal, no_file_system
from services.spark.hadoop import Hadoop

LINK = "fs.viewfs.mounttable.default.link."
SOURCE = re.compile(
    r"(?P<scheme>s3[an]?)://(?:(?P<key>[^:@/]+):(?P<secret>[^@]+)@)?(?P<bucket>[\w.-]+)(?P<prefix>/.*)?", re.ASCII
)
# What Hadoop 2 and Databricks called the keys of s3:// and s3n://.
_OLD_NAMES = {"awsAccessKeyId": "access.key", "awsSecretAccessKey": "secret.key"}
# Settings that say where AWS is and who the caller is there: the profile's business where it names an endpoint.
_OF_AWS = re.compile(r"endpoint(\..*)?|assumed\.role\..*|acl\.default")
# What notebooks expect to find here; a mount must not hide it.
_RESERVED = ("/FileStore", "/tmp", "/user/hive/warehouse")


@dataclass(frozen=True)
class Mount:
    """One mount.

    point       its absolute path in dbfs:/, without a slash at its end
    source      what is mounted, without keys: `s3n://bucket/prefix`
    encryption  the argument of that name; without effect here
    settings    S3A's settings for the bucket, without `fs.s3a.bucket.<bucket>.`; secrets among them
    """

    point: str
    source: str
    encryption: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self.source.split("/")[2]

    @property
    def prefix(self) -> str:
        """The path in the bucket: empty, or `/a/b`."""
        path = self.source.partition("://")[2].partition("/")[2]
        return f"/{path}".rstrip("/")

    def hadoop(self) -> dict[str, str]:
        """The link and the bucket's settings, as Hadoop names them."""
        target = f"s3a://{self.bucket}{quote(self.prefix or '/')}"
        bucket = {f"fs.s3a.bucket.{self.bucket}.{name}": value for name, value in self.settings.items()}
        return {f"{LINK}{self.point}": target, **bucket}


def parse(source: str, point: str, encryption: str, extra: Mapping[str, str], own_endpoint: bool) -> Mount:
    """A mount from the arguments of dbutils.fs.mount; ``own_endpoint`` says that S3 is not AWS itself.

    Raises JavaFailure, which never repeats a source that may hold a secret.
    """
    found = SOURCE.fullmatch(source)
    if not found:
        scheme = re.match(r"([a-z0-9]+)://", source)
        if scheme and not scheme[1].startswith("s3"):
            raise no_file_system(scheme[1])
        raise illegal(
            "requirement failed: the source is not of the form s3a://bucket/path or "
            "s3a://ACCESS_KEY:SECRET_KEY@bucket/path (with the secret key URL-encoded)"
        )
    settings = _settings(extra, found["bucket"], own_endpoint)
    if found["key"]:
        settings |= {"access.key": unquote(found["key"]), "secret.key": unquote(found["secret"])}
    shown = f"{found['scheme']}://{found['bucket']}{found['prefix'] or ''}"
    return Mount(_mount_point(point), shown, encryption, settings)


def _mount_point(point: str) -> str:
    path = point.removeprefix("dbfs:")
    if not path.startswith("/"):
        raise illegal(f"requirement failed: the mount point must be an absolute path: {point}")
    path = normal(path)
    if path == "/" or any(within(reserved, path) for reserved in _RESERVED):
        raise illegal(f"requirement failed: Cannot mount at {path}: it would hide what the workspace keeps there")
    return path


def _settings(extra: Mapping[str, str], bucket: str, own_endpoint: bool) -> dict[str, str]:
    """extra_configs as settings of the one bucket; what is not about S3 has no meaning here."""
    settings: dict[str, str] = {}
    for name, value in extra.items():
        found = re.fullmatch(rf"fs\.s3[an]?\.(?:bucket\.{re.escape(bucket)}\.)?(?P<name>.+)", name)
        if not found or found["name"].startswith("bucket."):
            continue
        option = _OLD_NAMES.get(found["name"], found["name"])
        # Instance profiles and the SDK's own classes mean "the rights of this machine": the cluster's own keys.
        foreign = option == "aws.credentials.provider" and not value.startswith("org.apache.hadoop.fs.s3a.")
        if not foreign and not (own_endpoint and _OF_AWS.fullmatch(option)):
            settings[option] = value
    return settings


class Mounts:
    """All mounts; every change is on disk, in Hadoop and in every session when the call returns."""

    def __init__(self, file: Path, hadoop: Hadoop, own_endpoint: bool) -> None:
        self._file, self._hadoop, self._own_endpoint = file, hadoop, own_endpoint
        self._lock = threading.Lock()
        self._mounts: dict[str, Mount] = {}

    def restore(self) -> None:
        """Mount what was mounted when the cluster stopped."""
        with self._lock:
            if self._file.exists():
                entries = json.loads(self._file.read_text(encoding="utf-8"))
                self._mounts = {entry["point"]: Mount(**entry) for entry in entries}
            self._hadoop.set(_configuration(self._mounts))

    def all(self) -> list[Mount]:
        """The mounts, oldest first."""
        return list(self._mounts.values())

    def shown(self) -> list[dict[str, str]]:
        """The mounts as dbutils.fs.mounts shows them, the root of dbfs:/ last."""
        shown = [(mount.point, mount.source, mount.encryption) for mount in self.all()]
        names = ("mountPoint", "source", "encryptionType")
        return [dict(zip(names, entry, strict=True)) for entry in [*shown, ("/", "DatabricksRoot", "")]]

    def mount(self, source: str, point: str, encryption: str, extra: Mapping[str, str]) -> None:
        """Mount; raises JavaFailure, also where the bucket cannot be read."""
        with self._changing():
            mount = parse(source, point, encryption, extra, self._own_endpoint)
            if mount.point in self._mounts:
                raise illegal(f"requirement failed: Directory already mounted: {mount.point}")
            for other in self._mounts:
                if within(mount.point, other) or within(other, mount.point):
                    raise illegal(f"requirement failed: Nested mounts are not supported: {mount.point}, {other}")
            self._change({**self._mounts, mount.point: mount}, mount)

    def update(self, source: str, point: str, encryption: str, extra: Mapping[str, str]) -> None:
        """Mount something else at a mount point; raises JavaFailure."""
        with self._changing():
            mount = parse(source, point, encryption, extra, self._own_endpoint)
            self._change({**self._without(mount.point), mount.point: mount}, mount)

    def unmount(self, point: str) -> None:
        """Remove a mount, not what is in it; raises JavaFailure."""
        with self._changing():
            self._change(self._without(normal("/" + point.removeprefix("dbfs:"))))

    def refresh(self) -> None:
        """Renew the mounts of every session; all see every change at once anyway."""
        with self._lock:
            self._hadoop.renew(_buckets(self._mounts.values()))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Databricks keeps its mounts in another service, whose failures notebooks see through Java's RMI."""
        try:
            with self._lock:
                yield
        except JavaFailure as failure:
            remote = JavaFailure("java.rmi.RemoteException", f"{failure}; nested exception is: \n\t{failure}")
            remote.status, remote.error_code = failure.status, failure.error_code
            raise remote from None

    def _without(self, point: str) -> dict[str, Mount]:
        if point not in self._mounts:
            raise illegal(f"requirement failed: Directory not mounted: {point}")
        return {other: mount for other, mount in self._mounts.items() if other != point}

    def _change(self, mounts: dict[str, Mount], new: Mount | None = None) -> None:
        before = self._mounts
        points = [point for point in {**before, **mounts} if before.get(point) != mounts.get(point)]
        touched = _buckets(table[point] for table in (before, mounts) for point in points if point in table)
        try:
            self._hadoop.set(_configuration(mounts))
            self._hadoop.renew(touched)
            if new is not None:
                self._hadoop.require_bucket(new.bucket)
            write_private(self._file, json.dumps([asdict(mount) for mount in mounts.values()], indent=1))
        except BaseException:
            self._hadoop.set(_configuration(before))
            self._hadoop.renew(touched)
            raise
        # Last: who sees that a mount is gone must not read through it any more.
        self._mounts = mounts


def _configuration(mounts: Mapping[str, Mount]) -> dict[str, str]:
    """Later mounts come last: where two of one bucket have different keys, the newer ones apply to both."""
    return {name: value for mount in mounts.values() for name, value in mount.hadoop().items()}


def normal(path: str) -> str:
    """An absolute path without `..`, `.` and double slashes; nothing leads above the root."""
    return "/" + posixpath.normpath(path).strip("/")


def within(path: str, directory: str) -> bool:
    """Whether a path is a directory or below it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _buckets(mounts: Iterable[Mount]) -> list[str]:
    return sorted({mount.bucket for mount in mounts})
