"""Errors meant for the person at the terminal: what failed, where, why, and what to do next."""

from __future__ import annotations


class PinflowError(Exception):
    """A failure that the command line prints without a traceback.

    ``what`` names what failed and where (service, URL, file, line) and why; ``fix`` says what to do next.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  → {self.fix}" if self.fix else self.what


class ProfileError(PinflowError):
    """A profile that cannot be read: names the file, the key and what is expected there."""


class PreflightError(PinflowError):
    """The machine lacks something (Java, memory, disk, a free port); found before anything is started."""


class NotReady(PinflowError):
    """A service does not answer yet; ``what`` is the last thing that was seen of it."""


def brief(error: BaseException) -> str:
    """The cause of an error in a few words: the system's own where there is one ("Connection refused").

    Clients wrap a refused connection into four layers with the URL in each, which nobody reads.
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
