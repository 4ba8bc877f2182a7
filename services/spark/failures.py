"""What goes wrong on the cluster, as a Java exception: that is what a Databricks notebook sees."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors.exceptions.captured import CapturedException

JAVA_ERRORS = (Py4JJavaError, CapturedException)
"""What py4j raises for an exception of Java; PySpark turns some of them into its own."""

# Exceptions (or the ends of their names) that have a status and an error code of their own in the REST API.
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
    """The words of Hadoop's S3A, which Databricks on AWS shows for its own paths too."""
    return JavaFailure("java.io.FileNotFoundException", f"No such file or directory: {path}")


def already_exists(path: str) -> JavaFailure:
    return JavaFailure("org.apache.hadoop.fs.FileAlreadyExistsException", f"{path} already exists")


def illegal(text: str) -> JavaFailure:
    return JavaFailure("java.lang.IllegalArgumentException", text)


def remote(failure: JavaFailure) -> JavaFailure:
    """A failure of the service that keeps Databricks' mounts, which notebooks see through Java's RMI."""
    wrapped = JavaFailure("java.rmi.RemoteException", f"{failure}; nested exception is: \n\t{failure}")
    wrapped.status, wrapped.error_code = failure.status, failure.error_code
    return wrapped


def of_java(error: Exception) -> JavaFailure:
    """The exception that the JVM threw, without its stack."""
    exception: Any = error.java_exception if isinstance(error, Py4JJavaError) else vars(error)["_origin"]
    return JavaFailure(exception.getClass().getName(), str(exception.getMessage() or ""))
