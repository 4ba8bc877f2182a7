"""`make snapshots`: write every view of tests/snapshots again."""

from __future__ import annotations

from tests.snapshots import FOLDER, VIEWS, text

for file in VIEWS:
    (FOLDER / file).write_text(text(file), encoding="utf-8")
