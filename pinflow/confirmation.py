"""Confirmation before a command changes something."""

from __future__ import annotations

import sys

import click

from foundation.errors import PinflowError


def confirmed(question: str) -> bool:
    """Ask, with no as the default; raises PinflowError if stdin is not a terminal."""
    if not sys.stdin.isatty():
        raise PinflowError("confirmation required, but stdin is not a terminal", "pass --yes")
    return click.confirm(question, err=True)
