"""A finding of the doctor: what was tried, what came back, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from foundation.loopback import is_local
from foundation.profile import Profile


@dataclass(frozen=True)
class Finding:
    """One check; ``fix`` is empty if there is nothing to do.

    ``state`` unknown: it cannot be checked from here, or only once an earlier hop is fixed. warning: it works, with a
    trap.
    """

    state: Literal["ok", "failed", "unknown", "warning"]
    tried: str
    found: str
    fix: str = ""
    hop: str = ""

    def of(self, hop: str) -> Finding:
        """This finding, attributed to a hop."""
        return replace(self, hop=hop)


def ok(tried: str, found: str) -> Finding:
    """The check passed."""
    return Finding("ok", tried, found)


def failed(tried: str, found: str, fix: str) -> Finding:
    """The check failed."""
    return Finding("failed", tried, found, fix)


def unknown(tried: str, found: str, fix: str = "") -> Finding:
    """The check was not possible."""
    return Finding("unknown", tried, found, fix)


def warning(tried: str, found: str, fix: str) -> Finding:
    """The check passed, but there is a trap."""
    return Finding("warning", tried, found, fix)


def skipped(profile: Profile, service: str, address: str) -> list[Finding]:
    """A finding for a service on this machine that is not in stack.services; empty if it should be running."""
    if profile.stack and is_local(address) and service not in profile.stack.services:
        return [unknown(address, "not in stack.services", f"add {service} to it if you want it")]
    return []


def fix_for(profile: Profile, service: str, elsewhere: str) -> str:
    """The fix for a service that does not answer: the stack's commands if it runs here, else ``elsewhere``."""
    if profile.stack and service in profile.stack.services:
        return f"it runs on this machine: make up starts it, make logs S={service} shows why it does not work"
    return elsewhere
