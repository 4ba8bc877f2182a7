"""Tables in Markdown, printed line by line."""

from __future__ import annotations


def table(*columns: str) -> None:
    """The head of a table; all columns but the first are numbers."""
    print()
    row(*columns)
    print("|---" + "|--:" * (len(columns) - 1) + "|", flush=True)


def row(*cells: str) -> None:
    """A line of a table, seen at once."""
    print(f"| {' | '.join(cells)} |", flush=True)
