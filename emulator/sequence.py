"""Which row is posted when: the draws of the well-known script (contract, section 2), or one row after the other.

A draw names a row by its position among the source's row numbers, counted from 0. In the seeded database position and
number are the same, 0..11153; in a user's own database the positions are those of its sorted numbers, just as the
script's own `LIMIT n, 1` counts rows instead of looking at their numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

SCRIPT_LAST_POSITION = 11_000  # the script's randint(0, 11000); the last 153 rows of the 11,154 are never drawn


class Draw(NamedTuple):
    """One post to come: the row's position and the pause before the post in seconds (0 or 1)."""

    position: int
    pause: int


def script(seed: int, last: int, start: int = 0) -> Iterator[Draw]:
    """The script's endless draws of positions 0..last, from draw number `start` on.

    The pause is always drawn, so that the rows are the same at any pace.

    >>> [draw.position for draw in islice(script(100, SCRIPT_LAST_POSITION), 3)]
    [7528, 2863, 5730]
    """
    generator = random.Random(seed)

    def draws() -> Iterator[Draw]:
        while True:
            pause = generator.randrange(0, 2)
            yield Draw(generator.randint(0, last), pause)

    return islice(draws(), start, None)


def sequential(seed: int, last: int, start: int = 0) -> Iterator[Draw]:
    """Every position from `start` to `last`, each once and in order; only the pauses are drawn."""
    generator = random.Random(seed)
    return (Draw(position, generator.randrange(0, 2)) for position in range(start, last + 1))
