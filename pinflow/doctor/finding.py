"""What the doctor finds at one place: what was tried, what came back, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from foundation.profile import Profile


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``fix`` is empty where there is nothing to do.

    ``state`` unknown: it cannot be seen from here, or only after something before it is fixed. warning: it works, and
    there is a trap.
    """

    state: Literal["ok", "failed", "unknown", "warning"]
    tried: str
    found: str
    fix: str = ""
    hop: str = ""

    def of(self, hop: str) -> Finding:
        """The same, as found at that hop."""
        return replace(self, hop=hop)


def ok(tried: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", tried, found)


def failed(tried: str, found: str, fix: str) -> Finding:
    """It is not."""
    return Finding("failed", tried, found, fix)


def unknown(tried: str, found: str, fix: str = "") -> Finding:
    """It cannot be seen."""
    return Finding("unknown", tried, found, fix)


def warning(tried: str, found: str, fix: str) -> Finding:
    """It works, and there is a trap."""
    return Finding("warning", tried, found, fix)


def left_out(profile: Profile, service: str, address: str) -> list[Finding]:
    """What to say of a service that a stack on this machine does without; nothing where it is to be there."""
    here = urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")
    if profile.stack and here and service not in profile.stack.services:
        return [unknown(address, "stack.services leaves it out", f"add {service} to it if you want it")]
    return []


def mend(profile: Profile, service: str, elsewhere: str) -> str:
    """What to do about a service that does not answer: the stack's commands where it runs here, else ``elsewhere``."""
    if profile.stack and service in profile.stack.services:
        return f"it runs on this machine: make up starts it, make logs S={service} says why it does not"
    return elsewhere
