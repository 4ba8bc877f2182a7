"""Errors as a Databricks notebook sees them: of a Java class, raised through py4j."""

from __future__ import annotations

from .compat import JavaError as JavaError


class ExecutionError(JavaError):
    """dbutils.fs failed."""


class InputWidgetNotDefined(JavaError):
    """A widget that is not defined and has no value from a parameter."""

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
    """dbutils.secrets has no such scope or key."""

    def __init__(self, message: str) -> None:
        super().__init__("getSecret", "java.lang.IllegalArgumentException", message)
