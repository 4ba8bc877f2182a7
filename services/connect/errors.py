"""Errors of connectors and tasks."""

from __future__ import annotations

from foundation.errors import PinflowError


class ConfigError(PinflowError):
    """A connector configuration is invalid; ``what`` is the message of the answer with this status."""

    def __init__(self, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.status = status


class TaskError(PinflowError):
    """Ends a task: its state becomes FAILED, the trace starts with the exception that the real worker would name."""

    def __init__(
        self, what: str, exception: str = "org.apache.kafka.connect.errors.ConnectException", cause: str = ""
    ) -> None:
        super().__init__(what)
        self.exception = exception
        self.cause = cause

    @classmethod
    def in_put(cls, reason: str) -> TaskError:
        """An exception of the sink's put, as the framework wraps it."""
        cause = f"org.apache.kafka.connect.errors.ConnectException: {reason}"
        return cls("Exiting WorkerSinkTask due to unrecoverable exception.", cause=cause)

    @property
    def trace(self) -> str:
        """The task's trace, in the form of a Java stack trace without its frames."""
        lines = [f"{self.exception}: {self.what}"] + ([f"Caused by: {self.cause}"] if self.cause else [])
        return "\n".join(lines) + "\n"
