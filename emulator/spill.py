"""The file of records that could not be delivered: nothing is dropped silently."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from foundation.errors import PinflowError


class SpillError(PinflowError):
    """The spill file cannot be written, so undelivered records would be lost: the run stops."""


class Spill:
    """JSON lines `{"topic", "record", "reason", "time"}`, one a record; the file appears with the first of them.

    ``path`` is None as long as there is none; ``records`` counts the lines. Safe to use from several threads.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self.path: Path | None = None
        self.records = 0

    def write(self, topic: str, record: bytes, reason: str) -> None:
        """Append one record (its JSON text); raises SpillError if the file cannot be written."""
        now = datetime.now(UTC)
        head = json.dumps({"topic": topic}, ensure_ascii=False)[:-1].encode()
        tail = json.dumps({"reason": reason, "time": now.isoformat(timespec="milliseconds")}, ensure_ascii=False)[1:]
        line = head + b', "record": ' + record + b", " + tail.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            path = self.path or self._directory / f"{now:%Y%m%dT%H%M%S}-{os.getpid()}.jsonl"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    file.write(line)
            except OSError as error:
                raise SpillError(
                    f"a record of {topic} was not delivered ({reason}) and {path} cannot be written: {error}",
                    "free some space there, then continue from the last --start",
                ) from None
            self.path = path
            self.records += 1
