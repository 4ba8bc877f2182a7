"""Errors for the person at the terminal: what failed, where, why, and what to do next."""

from __future__ import annotations


class PinflowError(Exception):
    """An error that the command line shows without a traceback.

    ``what``: what failed, where (service, URL, file, line) and why. ``fix``: what to do next.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  → {self.fix}" if self.fix else self.what


class ProfileError(PinflowError):
    """A profile that cannot be read; names the file, the key and the expected value."""


class PreflightError(PinflowError):
    """Something is missing on this machine (Java, memory, disk, a free port); raised before anything starts."""


class NotReady(PinflowError):
    """A service is not ready yet; ``what`` is its last known state."""


def brief(error: BaseException) -> str:
    """The root cause of an error in a few words, such as the system's own "Connection refused".

    Clients wrap a refused connection in four layers and repeat the URL in each.
    """
    cause: BaseException | None = error
    while cause is not None:
        inner = next((a for a in (*cause.args, getattr(cause, "reason", None)) if isinstance(a, BaseException)), None)
        inner = inner or cause.__cause__ or cause.__context__
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if inner is None or inner is cause:
            break
        cause = inner
    return (str(cause) or type(cause).__name__).splitlines()[0][:300]
