"""What happened, in order: for the person who has to find out why a run failed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any


class Diary:
    """Lines of JSON in a file, each with the seconds since the start; of any thread."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        self.file = file
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._kills: list[str] = []

    def write(self, event: str, **more: Any) -> None:
        """Add a line."""
        entry = {"second": round(time.monotonic() - self._began, 1), "event": event, **more}
        with self._lock:
            if event == "killed":
                self._kills.append(f"{entry['second']:>7} s  {', '.join(more['victims'])}")
            with self.file.open("a") as file:
                file.write(json.dumps(entry, default=str) + "\n")

    def history(self) -> str:
        """The kills so far, one a line, and where the rest is."""
        return "\n".join([f"kills so far (everything else: {self.file}):", *self._kills])
