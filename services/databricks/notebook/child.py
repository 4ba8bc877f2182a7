"""dbutils.notebook.run: another notebook, in its own process and with its own session."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .document import Document
from .events import Events
from .java_errors import WorkflowException
from .workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[3]
CANCEL_TIMEOUT = 6.0
"""Seconds that a cancelled run may take to exit."""


class Children:
    """The notebooks that this one has run; their events are in child-1, child-2, ... below its own."""

    def __init__(self, document: Document, events: Events, workspace: Workspace) -> None:
        self._document, self._events, self._workspace = document, events, workspace
        self._running: set[subprocess.Popen[bytes]] = set()
        self._numbers = itertools.count(1)

    def run(self, path: str, timeout_seconds: float, arguments: dict[str, Any]) -> str | None:
        """The value of the notebook's exit, None without one. Raises WorkflowException; 0 s means no timeout."""
        name = f"child-{next(self._numbers)}"
        absolute = self._workspace.absolute(path, self._document.notebook_path)
        parameters = {str(key): str(value) for key, value in arguments.items()}
        document = self._document.child(absolute, parameters, self._document.output / name)
        self._events.emit("child_run", cell=self._events.cell, path=absolute, output=name, parameters=parameters)
        process = subprocess.Popen(
            [sys.executable, "-m", __package__], cwd=REPOSITORY, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._running.add(process)
        try:
            process.communicate(document.to_json().encode() + b"\n", timeout=timeout_seconds or None)
        except subprocess.TimeoutExpired:
            raise WorkflowException("TIMEDOUT") from None
        finally:
            self._end(process)
            self._running.discard(process)
        return _exit_value(document.output / "events.jsonl", process.returncode)

    def cancel(self) -> None:
        """Cancel all that run; does not wait."""
        for process in list(self._running):
            process.terminate()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(CANCEL_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _exit_value(events: Path, status: int) -> str | None:
    last = events.read_text(encoding="utf-8").rstrip().rpartition("\n")[2] if events.exists() else ""
    result = json.loads(last) if last else {}
    if result.get("type") != "result":
        raise WorkflowException("FAILED", f"the notebook's process exited with status {status} before it had a result")
    if result["result_state"] != "SUCCESS":
        raise WorkflowException(str(result["result_state"]), result.get("error") or "")
    value = result["notebook_output"]["result"]
    return None if value is None else str(value)
