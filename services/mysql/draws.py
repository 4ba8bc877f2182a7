"""Random draws that are the same on every machine and Python version.

Only `random.Random(text)`, `random()` and `getrandbits()` are used: their results are part of Python's promise or have
never changed, unlike `choice`, `shuffle` and `sample`. No logarithm or power either: those differ between C libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """An independent stream of draws, named so that a change in one part does not move the others."""

    def __init__(self, seed: int, name: str) -> None:
        random = Random(f"{seed}/{name}")
        self.fraction = random.random
        self.bits = random.getrandbits

    def below(self, bound: int) -> int:
        """A whole number from 0 to bound - 1."""
        return int(self.fraction() * bound)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.fraction() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self.fraction() * len(items))]

    def shuffle(self, items: list[T]) -> None:
        """Put the items into random order (Fisher and Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def distinct(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different ones of the items, in random order."""
        pool = list(items)
        for position in range(count):
            other = position + self.below(len(pool) - position)
            pool[position], pool[other] = pool[other], pool[position]
        return pool[:count]
