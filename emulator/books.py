"""How many records each topic and stream has acknowledged, kept beside the stack's state.

The account of every record begins with these numbers. A run writes a file of its own, once a second while records are
acknowledged and once at its end; a killed run's file may lack its last second, so the sum is never too high.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

FOLDER = "posts"
_WRITE_EVERY = 1.0


class Books:
    """One run's acknowledged records by destination. Safe to use from several threads; None as home keeps no books."""

    def __init__(self, home: Path | None) -> None:
        self._path = home and home / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}.json"
        self._records: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._written = 0.0

    def acknowledged(self, destination: str, records: int) -> None:
        """Count records that a topic or stream has acknowledged."""
        with self._lock:
            self._records[destination] += records
            if time.monotonic() - self._written > _WRITE_EVERY:
                self._write()

    def close(self) -> None:
        """Write what is not yet written."""
        with self._lock:
            if self._records:
                self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        self._written = time.monotonic()
        # A full disk must not stop the posts; the sum is then too low.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps(self._records), encoding="utf-8")
            draft.replace(self._path)


def totals(home: Path) -> Counter[str]:
    """Records acknowledged so far, by topic and stream, over all runs of this stack."""
    found: Counter[str] = Counter()
    for file in (home / FOLDER).glob("*.json"):
        with suppress(ValueError, OSError):  # cut off when the machine lost its power
            found.update(json.loads(file.read_text(encoding="utf-8")))
    return found
