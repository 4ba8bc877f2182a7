"""What can go wrong in a connector or a task."""

from __future__ import annotations

from pinflow.errors import PinflowError


class ConfigError(PinflowError):
    """A connector configuration that cannot be taken; ``what`` is the message of the 400."""


class TaskError(PinflowError):
    """Ends a task: its state becomes FAILED, the trace starts with the exception that the real worker would name."""

    def __init__(
        self, what: str, exception: str = "org.apache.kafka.connect.errors.ConnectException", cause: str = ""
    ) -> None:
        super().__init__(what)
        self.exception = exception
        self.cause = cause

    @property
    def trace(self) -> str:
        """The task's trace, in the form of a Java stack trace without its frames."""
        lines = [f"{self.exception}: {self.what}"] + ([f"Caused by: {self.cause}"] if self.cause else [])
        return "\n".join(lines) + "\n"
