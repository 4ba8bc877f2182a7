"""The state of a service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """One line of `make status`.

    state    ready, starting, stopped or failed, as seen just now
    detail   why it is not ready, or a remark for the user
    memory   bytes: the proportional set size of the process and its children; in a container, what its limit counts
    seconds  since its start
    """

    name: str
    title: str
    stand_in: bool
    state: str
    detail: str
    pid: int
    memory: int
    seconds: float
