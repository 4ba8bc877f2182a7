"""Stands in for a notebook process: it speaks the same stdin and events, and does what the notebook's text says.

A notebook is one line of words: `print TEXT`, `exit VALUE`, `sleep SECONDS`, `stubborn SECONDS` (ignores SIGTERM),
`fail TEXT`, `die STATUS`, `kill`, `huge BYTES`, `flaky FILE` (fails while the file is absent), `background`,
`set KEY VALUE`, `document` (its document as the result), `session ID`, `child N ID` (a notebook that it ran, which was
killed; with `done` after it, one that ended), joined by `;`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from services.databricks.notebook.server import serve


class Notebook:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.directory = Path(document["output"])
        root = Path(document["workspace_root"])
        name = document["notebook_path"].lstrip("/")
        file = next(f for f in (root / f"{name}{ending}" for ending in (".py", ".ipynb", ".sql")) if f.is_file())
        lines = file.read_text().splitlines()
        self.words = lines[-1].lstrip("# ")

    def tell(self, kind: str, **values: Any) -> None:
        with (self.directory / "events.jsonl").open("a") as events:
            events.write(json.dumps({"t": time.time(), "type": kind, **values}) + "\n")

    def run(self) -> None:
        source = {"n": 1, "language": "python", "title": "Only cell", "source": self.words}
        self.tell("notebook", cells=[source])
        self.tell("cell_start", cell=1)
        for step in self.words.split(";"):
            word, _, rest = step.strip().partition(" ")
            getattr(self, f"do_{word}")(rest)
        self.tell("cell_end", cell=1)
        self.end()

    def end(self, value: str | None = None, error: str | None = None) -> NoReturn:
        self.tell(
            "result",
            result_state="FAILED" if error else "SUCCESS",
            notebook_output={"result": value, "truncated": False},
            error=error,
            error_trace=f"Traceback: {error}" if error else None,
        )
        sys.exit(0)

    def do_print(self, text: str) -> None:
        self.tell("stdout", cell=1, text=text + "\n")

    def do_show(self, payload: str) -> None:
        self.tell("display", cell=1, **json.loads(payload))

    def do_exit(self, value: str) -> None:
        self.end(value)

    def do_document(self, _: str) -> None:
        self.end(json.dumps(self.document))

    def do_environment(self, _: str) -> None:
        self.end(json.dumps(dict(os.environ)))

    def do_pid(self, _: str) -> None:
        (self.directory / "pid").write_text(str(os.getpid()))

    def do_sleep(self, seconds: str) -> None:
        time.sleep(float(seconds))

    def do_stubborn(self, seconds: str) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(float(seconds))

    def do_background(self, _: str) -> None:
        child = subprocess.Popen(["sleep", "300"])
        (self.directory / "background").write_text(str(child.pid))

    def do_fail(self, text: str) -> None:
        self.tell("error", cell=1, summary=text, ename="ValueError", traceback=f"Traceback: {text}")
        self.end(error=text)

    def do_flaky(self, marker: str) -> None:
        file = Path(marker)
        if not file.exists():
            file.touch()
            self.do_fail("the first attempt fails")

    def do_die(self, status: str) -> None:
        sys.stderr.write("something is badly wrong\n")
        sys.stderr.flush()
        os._exit(int(status))

    def do_kill(self, _: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_huge(self, size: str) -> None:
        for _ in range(int(size) // 10_000):
            self.tell("stdout", cell=1, text="x" * 9_999 + "\n")

    def do_set(self, rest: str) -> None:
        key, _, value = rest.partition(" ")
        self.tell("task_value", key=key, value=value)

    def do_session(self, session_id: str) -> None:
        self.tell("session", session_id=session_id, user_id=self.document["user"])

    def do_child(self, rest: str) -> None:
        number, session_id, *done = rest.split()
        child = Notebook(self.document | {"output": str(self.directory / f"child-{number}")})
        child.directory.mkdir(parents=True)
        child.do_session(session_id)
        if done:
            child.tell("result", result_state="SUCCESS", notebook_output={"result": None}, error=None)


if __name__ == "__main__":
    serve(int(sys.argv[2]), lambda: Notebook(json.loads(sys.stdin.readline())).run())
