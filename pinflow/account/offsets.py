"""What became of each offset of a partition, computed from the objects in S3 and the records that the sink skipped.

An object's key gives the offset of its first record, and its lines the number of records. Skipped records (dead
letters, nulls) take an offset but no line. So an object holds as many offsets from its first as it has lines, not
counting skipped ones. This needs no committed offset and holds for the real sink and for ours.

>>> fate(0, 10, [(0, 3), (4, 2)], [3])
Fate(in_s3=5, skipped=1, twice=0, missing=[(6, 10)])
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Span = tuple[int, int]
"""Offsets from the first to below the second."""


@dataclass(frozen=True)
class Fate:
    """Where the records of a partition are that Kafka still holds.

    in_s3    records in an object
    skipped  dead letters and nulls
    twice    lines beyond the first of a record that is in several objects (after a kill of the real sink)
    missing  offsets that are nowhere, in order
    """

    in_s3: int
    skipped: int
    twice: int
    missing: list[Span]

    @property
    def absent(self) -> int:
        """How many records are nowhere."""
        return sum(end - start for start, end in self.missing)


def fate(begin: int, end: int, objects: Iterable[tuple[int, int]], skipped: Sequence[int]) -> Fate:
    """Place the offsets from ``begin`` to below ``end``; ``objects`` as (first offset, lines), ``skipped`` sorted."""
    held = sorted((start, _reach(start, lines, skipped)) for start, lines in objects if lines)
    merged: list[list[int]] = []
    twice = 0
    for start, stop in held:
        if merged and start < merged[-1][1]:
            shared = (start, min(stop, merged[-1][1]))
            twice += _count(shared) - _between(skipped, *shared)
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    clipped = [(max(start, begin), min(stop, end)) for start, stop in merged]
    spans = [span for span in clipped if span[0] < span[1]]
    missing = _without(_gaps(begin, end, spans), skipped)
    in_s3 = sum(_count(span) - _between(skipped, *span) for span in spans)
    return Fate(in_s3, _between(skipped, begin, end), twice, missing)


def suspects(missing: Iterable[Span], starts: Iterable[int]) -> list[Span]:
    """Where the skipped records that explain a gap may be: from the start of the object before it to the gap's end.

    An unknown skipped record within an object moves the gap to the object's end.

    >>> suspects([(4, 5)], [0, 5])
    [(0, 5)]
    """
    ordered = sorted(starts)
    return [(ordered[place - 1] if (place := bisect_left(ordered, first)) else first, stop) for first, stop in missing]


def below(spans: Iterable[Span], offset: int) -> int:
    """The number of these offsets below one."""
    return sum(max(0, min(stop, offset) - start) for start, stop in spans)


def _reach(start: int, lines: int, skipped: Sequence[int]) -> int:
    """The offset behind the last record of an object."""
    stop = start + lines
    while (further := start + lines + _between(skipped, start, stop)) != stop:
        stop = further
    return stop


def _gaps(begin: int, end: int, spans: Iterable[Span]) -> Iterable[Span]:
    for start, stop in spans:
        if begin < start:
            yield begin, start
        begin = stop
    if begin < end:
        yield begin, end


def _without(spans: Iterable[Span], skipped: Sequence[int]) -> list[Span]:
    left = []
    for start, stop in spans:
        for offset in skipped[bisect_left(skipped, start) : bisect_left(skipped, stop)]:
            if start < offset:
                left.append((start, offset))
            start = offset + 1
        if start < stop:
            left.append((start, stop))
    return left


def _count(span: Span) -> int:
    return span[1] - span[0]


def _between(offsets: Sequence[int], start: int, stop: int) -> int:
    return bisect_left(offsets, stop) - bisect_left(offsets, start)
