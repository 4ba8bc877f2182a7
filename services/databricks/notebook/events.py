"""What a run reports: JSON lines in events.jsonl, flushed as they happen, bounded, without secrets."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

CELL_TEXT = 10 * 1024 * 1024
"""Bytes of text (printed, HTML, tables) that a cell keeps."""
CELL_IMAGES = 40 * 1024 * 1024
"""Bytes of pictures that a cell keeps."""
EXIT_VALUE = 5 * 1024 * 1024
"""Bytes of dbutils.notebook.exit's value that Databricks keeps."""


class Events:
    """The run's events. Safe to use from threads; `cell` is the cell of the run's own notebook that runs now."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.cell = 0
        self._file = (directory / "events.jsonl").open("a", encoding="utf-8")
        self._lock = threading.RLock()
        self._secrets: list[str] = []
        self._held: dict[str, str] = {}
        self._text = self._images = self._pictures = 0
        self._cut = False

    def redact(self, secret: str) -> None:
        """From now on, replace the secret by [REDACTED], as Databricks does with what dbutils.secrets returns."""
        with self._lock:
            if secret and secret not in self._secrets:
                self._secrets.append(secret)

    def emit(self, kind: str, **values: Any) -> None:
        """Append one event, with its secrets redacted."""
        event = {"t": round(time.time(), 3), "type": kind, **self._clean(values)}
        with self._lock:
            self._file.write(json.dumps(event, ensure_ascii=False, default=str) + "\n")
            self._file.flush()

    def start_cell(self, n: int, **values: Any) -> None:
        """The start of a cell, which has its own limits."""
        with self._lock:
            self.cell, self._text, self._images, self._pictures, self._cut = n, 0, 0, 0, False
            self.emit("cell_start", cell=n, **values)

    def text(self, stream: str, text: str, last: bool = False) -> None:
        """Printed text (`stdout`, `stderr`); a possible start of a secret is held back until the next text."""
        with self._lock:
            text = self._clean(self._held.pop(stream, "") + text)
            if not last and (keep := self._beginning_of_secret(text)):
                text, self._held[stream] = text[:-keep], text[-keep:]
            room = CELL_TEXT - self._text
            if len(text) > room:
                text = text[:room]
                self._cut_now()
            if text:
                self._text += len(text)
                self.emit(stream, cell=self.cell, text=text)

    def display(self, mime: str, size: int = 0, **payload: Any) -> None:
        """A table (of `size` bytes), HTML, Markdown or text that a cell shows."""
        size += sum(len(value) for value in payload.values() if isinstance(value, str))
        with self._lock:
            if self._text + size > CELL_TEXT:
                self._cut_now()
                return
            self._text += size
            self.emit("display", cell=self.cell, mime=mime, **payload)

    def picture(self, mime: str, data: bytes) -> None:
        """A picture, stored in its own file: cell3-1.png."""
        with self._lock:
            if self._images + len(data) > CELL_IMAGES:
                self._cut_now()
                return
            self._images += len(data)
            self._pictures += 1
            ending = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}[mime]
            name = f"cell{self.cell}-{self._pictures}.{ending}"
            (self.directory / name).write_bytes(data)
            self.emit("display", cell=self.cell, mime=mime, file=name)

    def _cut_now(self) -> None:
        if not self._cut:
            self._cut = True
            mark = f"\n*** The output of this cell is cut: more than {CELL_TEXT // 1024 // 1024} MB ***\n"
            self.emit("stderr", cell=self.cell, text=mark, truncated=True)

    def _clean(self, value: Any) -> Any:
        if not self._secrets:
            return value
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, "[REDACTED]")
        elif isinstance(value, dict):
            return {key: self._clean(each) for key, each in value.items()}
        elif isinstance(value, list | tuple):
            return [self._clean(each) for each in value]
        return value

    def _beginning_of_secret(self, text: str) -> int:
        """How many characters at the end of the text are the start of a secret."""
        longest = 0
        for secret in self._secrets:
            for length in range(min(len(secret) - 1, len(text)), longest, -1):
                if text.endswith(secret[:length]):
                    longest = length
                    break
        return longest
