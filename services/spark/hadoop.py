"""Hadoop's file systems in the driver's JVM, by way of py4j: their configuration and their cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyspark import SparkContext

from services.spark import compat
from services.spark.failures import JAVA_ERRORS, JavaFailure, from_py4j_error

S3_SCHEMES = ("s3a", "s3n", "s3")


class Hadoop:
    """The file systems that all sessions of the driver share."""

    def __init__(self, context: SparkContext) -> None:
        self._gateway: Any = compat.gateway_of(context)
        self._jvm: Any = self._gateway.jvm
        self.configuration: Any = compat.java_context(context).hadoopConfiguration()
        self._set_before: dict[str, str | None] = {}
        self._mapper: Any = compat.field_mapper(self._jvm)

    def path(self, scheme: str, authority: str, path: str) -> Any:
        """A Java Path; nothing in ``path`` is special, neither `%` nor a colon."""
        return self._jvm.org.apache.hadoop.fs.Path(scheme, authority, path)

    def file_system(self, path: Any) -> Any:
        """The file system of a Java Path."""
        return path.getFileSystem(self.configuration)

    def as_json(self, statuses: Any) -> str:
        """An array of FileStatus as JSON, by their fields: path.uri (encoded), length, isdir, modification_time, …"""
        return str(self._mapper.writeValueAsString(statuses))

    def copy(self, source_system: Any, source: Any, target_system: Any, target: Any) -> None:
        """Copy one file, inside the JVM; an existing ``target`` is overwritten."""
        copy = self._jvm.org.apache.hadoop.fs.FileUtil.copy
        copy(source_system, source, target_system, target, False, True, self.configuration)

    def set(self, settings: Mapping[str, str]) -> None:
        """Set these, and reset what the last call had set besides."""
        for name in set(self._set_before) - set(settings):
            before = self._set_before.pop(name)
            if before is None:
                self.configuration.unset(name)
            else:
                self.configuration.set(name, before)
        for name, value in settings.items():
            self._set_before.setdefault(name, self.configuration.get(name))
            self.configuration.set(name, value)

    def renew(self, buckets: Iterable[str]) -> None:
        """Let the whole JVM use file systems with the configuration as it is now: dbfs:/, and those of ``buckets``.

        The old ones are not closed: what reads or streams through them goes on. Delta keeps what it has read of tables
        by their paths, which may be other tables from now on.
        """
        for uri in ["dbfs:///", *(f"{scheme}://{bucket}/" for bucket in buckets for scheme in S3_SCHEMES)]:
            compat.replace_file_system(self._gateway, uri, self.configuration)
        self._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()

    def require_bucket(self, bucket: str) -> None:
        """Raise JavaFailure if the bucket does not exist, or cannot be listed with its keys."""
        root = self.path("s3a", bucket, "/")
        try:
            self.file_system(root).listStatusIterator(root).hasNext()
        except JAVA_ERRORS as error:
            failure = from_py4j_error(error)
            if failure.java_class.endswith("UnknownStoreException"):
                raise JavaFailure("java.io.FileNotFoundException", f"Bucket {bucket} does not exist") from None
            raise failure from None
