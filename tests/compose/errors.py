"""Why there is no engine."""

from __future__ import annotations


class NoEngine(Exception):
    """A Docker engine cannot be had on this machine; the text says why."""

    def __str__(self) -> str:
        return f"an engine cannot be had here, because {self.args[0]}"
