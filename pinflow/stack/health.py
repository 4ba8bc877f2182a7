"""What is seen of a service at this moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Health:
    """One line of `make status`: what a service is, whether it can be used, and what it costs.

    state is what was seen just now: ready, starting, stopped, failed; detail says why it is not ready, or what else a
    person must know.
    memory is the proportional set size of the process and its children, in bytes (in a container: what its memory limit
    counts); seconds since its start.
    """

    name: str
    title: str
    stand_in: bool
    state: str
    detail: str
    pid: int
    memory: int
    seconds: float
