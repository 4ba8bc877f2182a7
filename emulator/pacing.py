"""When a post is due: at a rate, at the script's own pace, or at once.

Due times are seconds after the start of the run and not after the post before, so that the time that posts take
never adds up to a drift: a run that fell behind catches up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emulator.sequence import Draw


def at_script_pace(draws: Iterable[Draw]) -> Iterator[tuple[float, Draw]]:
    """Each draw with its due time: the sum of the pauses up to it, as the script sleeps before each post."""
    due = 0
    for draw in draws:
        due += draw.pause
        yield float(due), draw


def at_rate(draws: Iterable[Draw], posts_per_second: float) -> Iterator[tuple[float, Draw]]:
    """Each draw with its due time at a steady rate; the first is due at once."""
    for number, draw in enumerate(draws):
        yield number / posts_per_second, draw


def at_full_speed(draws: Iterable[Draw]) -> Iterator[tuple[float, Draw]]:
    """Each draw, due at once."""
    for draw in draws:
        yield 0.0, draw
