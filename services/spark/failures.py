"""What fails on the cluster, as a Java exception: that is what a Databricks notebook sees."""

from __future__ import annotations

from http import HTTPStatus

from py4j.protocol import Py4JJavaError
from pyspark.errors.exceptions.captured import CapturedException

from services.spark import compat

JAVA_ERRORS = (Py4JJavaError, CapturedException)
"""What py4j raises for an exception of Java; PySpark turns some of them into its own."""

# Exceptions that have a status and an error code of their own in the REST API.
_KNOWN = {
    "FileNotFoundException": (HTTPStatus.NOT_FOUND, "RESOURCE_DOES_NOT_EXIST"),
    "FileAlreadyExistsException": (HTTPStatus.CONFLICT, "RESOURCE_ALREADY_EXISTS"),
    "IllegalArgumentException": (HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE"),
    "AccessDeniedException": (HTTPStatus.FORBIDDEN, "PERMISSION_DENIED"),
    "AccessControlException": (HTTPStatus.FORBIDDEN, "PERMISSION_DENIED"),
}


class JavaFailure(Exception):
    """``java_class: text`` and the HTTP status and Databricks error code that go with it."""

    def __init__(self, java_class: str, text: str) -> None:
        super().__init__(f"{java_class}: {text}")
        self.java_class, self.text = java_class, text
        self.status, self.error_code = _KNOWN.get(java_class.rpartition(".")[2], (HTTPStatus.BAD_REQUEST, "IO_ERROR"))


def not_found(path: str) -> JavaFailure:
    """The message of Hadoop's S3A, which Databricks on AWS shows for its own paths too."""
    return JavaFailure("java.io.FileNotFoundException", f"No such file or directory: {path}")


def already_exists(path: str) -> JavaFailure:
    return JavaFailure("org.apache.hadoop.fs.FileAlreadyExistsException", f"{path} already exists")


def illegal(text: str) -> JavaFailure:
    return JavaFailure("java.lang.IllegalArgumentException", text)


def no_file_system(scheme: str) -> JavaFailure:
    name = "org.apache.hadoop.fs.UnsupportedFileSystemException"
    return JavaFailure(name, f'No FileSystem for scheme "{scheme}"')


def from_py4j_error(error: Exception) -> JavaFailure:
    """The exception that the JVM threw, without its stack."""
    exception = compat.java_exception(error)
    return JavaFailure(exception.getClass().getName(), str(exception.getMessage() or ""))
