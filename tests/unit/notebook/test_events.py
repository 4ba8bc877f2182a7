"""Events are bounded and hold no secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.databricks.notebook import events
from services.databricks.notebook.events import Events


def told(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]


def test_a_secret_that_comes_in_pieces_is_not_shown(tmp_path: Path) -> None:
    written = Events(tmp_path)
    written.redact("abcdef")
    for piece in ("x ab", "cd", "ef y", " abc"):
        written.text("stdout", piece)
    written.text("stdout", "", last=True)
    assert "".join(e["text"] for e in told(tmp_path)) == "x [REDACTED] y abc"


def test_a_cell_keeps_10_mb_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    written = Events(tmp_path)
    written.start_cell(1)
    for _ in range(12):
        written.text("stdout", "x" * (1 << 20))
    written.display("text/html", html="never")
    written.start_cell(2)
    written.text("stdout", "again")
    kept = [e for e in told(tmp_path) if e["type"] == "stdout"]
    assert sum(len(e["text"]) for e in kept if e["cell"] == 1) == events.CELL_TEXT
    assert [e["text"] for e in kept if e["cell"] == 2] == ["again"]
    assert [e["truncated"] for e in told(tmp_path) if e["type"] == "stderr"] == [True]


def test_pictures_are_files(tmp_path: Path) -> None:
    written = Events(tmp_path)
    written.start_cell(3)
    written.picture("image/png", b"png")
    assert told(tmp_path)[-1]["file"] == "cell3-1.png" and (tmp_path / "cell3-1.png").read_bytes() == b"png"
