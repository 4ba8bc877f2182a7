"""Cases against what they meet: what differs, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.table import Table

from tests.recorded.cases import Case


@dataclass(frozen=True)
class Difference:
    """One difference: the case's name, where its answer was recorded, that answer, and what came instead."""

    case: str
    source: str
    recorded: str
    got: str


def compare(cases: Iterable[Case], attempt: Callable[[Case], list[str]]) -> list[Difference]:
    """Try each case; ``attempt`` gives a line `…, recorded …` for each difference. A case that fails differs too."""
    found = []
    for case in cases:
        try:
            lines = attempt(case)
        except Exception as error:  # of any client: the other cases still count
            lines = [f"{type(error).__name__}: {error}"]
        for line in lines:
            got, _, recorded = line.partition(", recorded ")
            found.append(Difference(case.name, case.source, recorded, got))
    return found


def table(differences: Iterable[Difference]) -> Table:
    """A row a difference."""
    shown = Table("case", "source", "recorded", "got", show_lines=True)
    for difference in differences:
        # Brackets are JSON, not markup.
        row = (difference.case, difference.source, difference.recorded, difference.got)
        shown.add_row(*(text.replace("[", r"\[") for text in row))
    return shown
