"""Hadoop's file systems in the driver's JVM, by way of py4j: their configuration and their cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyspark import SparkContext

from services.spark.failures import JAVA_ERRORS, JavaFailure, of_java

S3_SCHEMES = ("s3a", "s3n", "s3")


class Hadoop:
    """The file systems that all sessions of the driver share."""

    def __init__(self, context: SparkContext) -> None:
        self._jvm: Any = context._jvm
        self._new_array: Any = context._gateway.new_array
        self.configuration: Any = context._jsc.hadoopConfiguration()
        self._set_before: dict[str, str | None] = {}
        self._json: Any = self._mapper()

    def path(self, scheme: str, authority: str, path: str) -> Any:
        """A Java Path; nothing in ``path`` is special, neither `%` nor a colon."""
        return self._jvm.org.apache.hadoop.fs.Path(scheme, authority, path)

    def file_system(self, path: Any) -> Any:
        """The file system of a Java Path."""
        return path.getFileSystem(self.configuration)

    def as_json(self, statuses: Any) -> str:
        """An array of FileStatus as JSON, by their fields: path.uri (encoded), length, isdir, modification_time, …"""
        return str(self._json.writeValueAsString(statuses))

    def copy(self, source_system: Any, source: Any, target_system: Any, target: Any) -> None:
        """Copy one file, inside the JVM; what is at ``target`` is overwritten."""
        self._jvm.org.apache.hadoop.fs.FileUtil.copy(
            source_system, source, target_system, target, False, True, self.configuration
        )

    def set(self, settings: Mapping[str, str]) -> None:
        """Set these, and put back whatever the last call had set besides."""
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
        """Let the whole JVM use file systems made from the configuration as it is now: dbfs:/, and those of buckets.

        Hadoop keeps each file system it has made, with the settings of that time, and has no call to replace one. The
        old one is not closed: what reads or streams through it goes on. Delta keeps what it has read of tables by their
        paths, which may be other tables from now on.
        """
        uris = ["dbfs:///", *(f"{scheme}://{bucket}/" for bucket in buckets for scheme in S3_SCHEMES)]
        for uri in map(self._jvm.java.net.URI, uris):
            self._replace(uri)
        self._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()

    def require_bucket(self, bucket: str) -> None:
        """Raises JavaFailure if the bucket is not there, or cannot be listed with its keys."""
        root = self.path("s3a", bucket, "/")
        try:
            self.file_system(root).listStatusIterator(root).hasNext()
        except JAVA_ERRORS as error:
            failure = of_java(error)
            if failure.java_class.endswith("UnknownStoreException"):
                raise JavaFailure("java.io.FileNotFoundException", f"Bucket {bucket} does not exist") from None
            raise failure from None

    def _replace(self, uri: Any) -> None:
        """Put a new file system in the place of the cached one, in one step; nothing if there is none."""
        cache = self._private("FileSystem", "CACHE").get(None)
        cached = self._private("FileSystem$Cache", "map").get(cache)
        key = self._cache_key(uri)
        if not cached.containsKey(key):
            return
        kind = self._jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(uri.getScheme(), self.configuration)
        new = self._jvm.org.apache.hadoop.util.ReflectionUtils.newInstance(kind, self.configuration)
        new.initialize(uri, self.configuration)
        cached.replace(key, new)

    def _cache_key(self, uri: Any) -> Any:
        types, values = self._new_array(self._jvm.Class, 2), self._new_array(self._jvm.Object, 2)
        types[0], types[1] = self._class("java.net.URI"), self._class("org.apache.hadoop.conf.Configuration")
        values[0], values[1] = uri, self.configuration
        constructor = self._class("org.apache.hadoop.fs.FileSystem$Cache$Key").getDeclaredConstructor(types)
        constructor.setAccessible(True)
        return constructor.newInstance(values)

    def _private(self, owner: str, name: str) -> Any:
        member = self._class(f"org.apache.hadoop.fs.{owner}").getDeclaredField(name)
        member.setAccessible(True)
        return member

    def _mapper(self) -> Any:
        jackson = self._jvm.com.fasterxml.jackson
        visible = getattr(jackson.annotation, "JsonAutoDetect$Visibility")
        mapper = jackson.databind.ObjectMapper()
        mapper.setVisibility(jackson.annotation.PropertyAccessor.ALL, visible.NONE)
        mapper.setVisibility(jackson.annotation.PropertyAccessor.FIELD, visible.ANY)
        return mapper

    def _class(self, name: str) -> Any:
        return self._jvm.org.apache.spark.util.Utils.classForName(name, True, False)
