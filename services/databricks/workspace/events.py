"""What a notebook process wrote to events.jsonl: its cells with their output, and its result.

The file grows during the run, and a killed process can leave a broken last line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "events.jsonl"
# The result holds at most 5 MB of notebook output, escaped.
_RESULT_BYTES = 40 * 1024 * 1024


@dataclass
class Cell:
    """One cell: when it ran (seconds since the epoch), what it printed and showed, in order."""

    n: int
    language: str = "python"
    title: str = ""
    source: str = ""
    started: float | None = None
    ended: float | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return any(output["type"] == "error" for output in self.outputs)


def read(directory: Path, about: bytes = b"") -> Iterator[dict[str, Any]]:
    """The events in order, or only those whose line contains ``about``; broken lines are skipped."""
    try:
        with (directory / FILE).open("rb") as lines:
            for line in lines:
                if about in line and (event := _event(line)):
                    yield event
    except FileNotFoundError:
        return


def cells(directory: Path, text_limit: int) -> list[Cell]:
    """The notebook's cells as they are now; of each cell at most ``text_limit`` characters of printed text."""
    found: dict[int, Cell] = {}
    printed: dict[int, int] = {}
    for event in read(directory):
        kind, number = event["type"], event.get("cell")
        if kind == "notebook":
            for cell in event.get("cells", []):
                known = ("n", "language", "title", "source")
                found.setdefault(int(cell["n"]), Cell(**{name: cell[name] for name in known if name in cell}))
        if not isinstance(number, int):
            continue
        cell = found.setdefault(number, Cell(number))
        if kind == "cell_start":
            cell.started = event.get("t")
        elif kind == "cell_end":
            cell.ended = event.get("t")
        elif kind in ("stdout", "stderr"):
            room = text_limit - printed.get(number, 0)
            text = str(event.get("text", ""))
            printed[number] = printed.get(number, 0) + len(text)
            if room > 0:
                cell.outputs.append({**event, "text": text[:room], "cut": len(text) > room})
            elif text and not any(output.get("cut") for output in cell.outputs):
                cell.outputs.append({**event, "text": "", "cut": True})
        elif kind in ("display", "error"):
            cell.outputs.append(event)
    return [found[number] for number in sorted(found)]


def printed(directory: Path, cell: int) -> Iterator[str]:
    """All that a cell printed."""
    for event in read(directory):
        if event.get("cell") == cell and event["type"] in ("stdout", "stderr"):
            yield str(event.get("text", ""))


def task_values(directory: Path) -> dict[str, Any]:
    """What the notebook set with `dbutils.jobs.taskValues.set`."""
    return {str(event["key"]): event.get("value") for event in read(directory, b'"task_value"') if "key" in event}


def result(directory: Path) -> dict[str, Any] | None:
    """The final event, if the notebook process wrote one."""
    try:
        with (directory / FILE).open("rb") as lines:
            lines.seek(0, 2)
            lines.seek(max(0, lines.tell() - _RESULT_BYTES))
            last = lines.read().rstrip().rpartition(b"\n")[2]
    except FileNotFoundError:
        return None
    event = _event(last)
    return event if event and event["type"] == "result" else None


def open_sessions(directory: Path) -> Iterator[str]:
    """The Spark sessions of the notebook and of its child notebooks that their processes did not end.

    A process ends its session before it writes its result. Child notebooks are in child-1, child-2, ... below it.
    """
    opened = (event for event in read(directory, b'"session"') if event["type"] == "session")
    session = next(opened, None)
    if session and result(directory) is None:
        yield str(session.get("session_id"))
    for child in sorted(each for each in directory.glob("child-*") if each.is_dir()):
        yield from open_sessions(child)


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None
