"""A yes before something is changed elsewhere."""

from __future__ import annotations

import sys

import click

from foundation.errors import PinflowError


def confirmed(question: str) -> bool:
    """Ask, with no as the answer of an empty line; raises PinflowError where nobody is there to ask."""
    if not sys.stdin.isatty():
        raise PinflowError("this needs a yes, and nobody is there to ask", "add --yes")
    return click.confirm(question, err=True)
