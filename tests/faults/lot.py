"""Which service is killed when, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

SERVICES = ("mysql", "kafka", "rest_proxy", "localstack", "connect", "spark", "databricks", "airflow")
VICTIMS = (*SERVICES, "supervisord", "notebook", "emulator batch", "emulator stream")
PER_ROUND = 10
"""Kills after which everything is waited for."""
_TOGETHER = 0.2


@dataclass(frozen=True)
class Blow:
    """One victim, or two that are killed at the same moment; seconds from the start of its round."""

    second: float
    victims: tuple[str, ...]


def draw(seed: int, kills: int, minutes: float) -> list[list[Blow]]:
    """Rounds of up to ten kills, each round as long as its part of the minutes; the same for the same arguments.

    Every victim is drawn once before any is drawn again, so that 60 kills are 5 of each.
    """
    lot, bag, rounds = random.Random(seed), list[str](), list[list[Blow]]()
    for first in range(0, kills, PER_ROUND):
        left = count = min(PER_ROUND, kills - first)
        groups = []
        while left:
            size = 2 if left > 1 and lot.random() < _TOGETHER else 1
            if len(bag) < size:
                bag += lot.sample(VICTIMS, len(VICTIMS))
            victims = tuple(dict.fromkeys(bag[:size]))
            del bag[: len(victims)]
            groups.append(victims)
            left -= len(victims)
        seconds = sorted(lot.uniform(0, minutes * 60 * count / kills) for _ in groups)
        rounds.append([Blow(round(second, 1), victims) for second, victims in zip(seconds, groups, strict=True)])
    return rounds
