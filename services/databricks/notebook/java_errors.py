"""Errors as a Databricks notebook sees them: of a Java class, raised through py4j."""

from __future__ import annotations

import itertools

from py4j.protocol import Py4JJavaError

_calls = itertools.count(395)


class _JavaException:
    """What notebooks ask of `error.java_exception`."""

    def __init__(self, java_class: str, message: str) -> None:
        self._class, self._message = java_class, message

    def getClass(self) -> _JavaException:
        return self

    def getName(self) -> str:
        return self._class

    def getSimpleName(self) -> str:
        return self._class.rpartition(".")[2]

    def getMessage(self) -> str:
        return self._message

    def toString(self) -> str:
        return f"{self._class}: {self._message}"

    __str__ = __repr__ = toString


class JavaError(Py4JJavaError):  # type: ignore[misc]
    """`java_class: message`, as it stands in the text of the error."""

    def __init__(self, call: str, java_class: str, message: str) -> None:
        Exception.__init__(self, java_class, message)
        self.errmsg = f"An error occurred while calling o{next(_calls)}.{call}.\n"
        self.java_exception = _JavaException(java_class, message)
        self.exception_cmd = ""

    def __str__(self) -> str:
        return f"{self.errmsg}: {self.java_exception}"


class ExecutionError(JavaError):
    """dbutils.fs failed."""


class InputWidgetNotDefined(JavaError):
    """A widget that nobody defined and no parameter gave a value."""

    def __init__(self, call: str, name: str) -> None:
        super().__init__(
            call, "com.databricks.dbutils_v1.InputWidgetNotDefined", f"No input widget named {name} is defined"
        )


class WorkflowException(JavaError):
    """A notebook that dbutils.notebook.run ran did not succeed; `state` is FAILED, TIMEDOUT or CANCELED."""

    def __init__(self, state: str, message: str = "") -> None:
        cause = f"com.databricks.NotebookExecutionException: {state}" + (f": {message}" if message else "")
        super().__init__("_run", "com.databricks.WorkflowException", cause)


class SecretNotFound(JavaError):
    """dbutils.secrets knows no such scope or key."""

    def __init__(self, message: str) -> None:
        super().__init__("getSecret", "java.lang.IllegalArgumentException", message)
