"""Runs notebooks as the workspace does: a process that is warm already, a document on its input, events in a file."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from foundation.packages import python
from foundation.profile import ROOT
from tests.servers.ports import free_port
from tests.servers.process import ServerProcess

SEPARATOR = "\n\n# COMMAND ----------\n\n"


@dataclass
class Ended:
    """A run that ended."""

    status: int
    seconds: float
    events: list[dict[str, Any]]
    output: Path

    def of(self, kind: str, cell: int | None = None) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == kind and cell in (None, e.get("cell"))]

    def printed(self, cell: int | None = None, stream: str = "stdout") -> str:
        return "".join(e["text"] for e in self.of(stream, cell))

    def shown(self, cell: int | None = None) -> list[dict[str, Any]]:
        return self.of("display", cell)

    @property
    def result(self) -> dict[str, Any]:
        assert self.events[-1]["type"] == "result", self.events[-3:]
        return self.events[-1]

    @property
    def state(self) -> str:
        return str(self.result["result_state"])

    @property
    def value(self) -> str | None:
        value: str | None = self.result["notebook_output"]["result"]
        return value

    @property
    def error(self) -> str:
        return str(self.result["error"])

    def ok(self) -> Ended:
        assert self.state == "SUCCESS", self.result["error_trace"] or self.result["error"]
        return self


@dataclass
class Running:
    """A run under way."""

    process: subprocess.Popen[bytes]
    output: Path
    started: float = field(default_factory=time.monotonic)

    def wait(self, timeout: float = 120) -> Ended:
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        file = self.output / "events.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        seconds = time.monotonic() - self.started
        return Ended(status, seconds, [json.loads(line) for line in lines], self.output)

    def until(self, text: str, timeout: float = 60) -> Running:
        """Wait until the run has printed something."""
        file, deadline = self.output / "events.jsonl", time.monotonic() + timeout
        printed = re.compile(rf'"type": "stdout".*{re.escape(text)}')
        while not printed.search(file.read_text(encoding="utf-8") if file.exists() else ""):
            assert time.monotonic() < deadline, f"{text!r} did not appear in {timeout} s"
            assert self.process.poll() is None, f"the run ended before it told {text!r}"
            time.sleep(0.05)
        return self


class Endpoint(Protocol):
    """Where the cluster's control endpoint is, and what it asks for."""

    @property
    def url(self) -> str: ...

    @property
    def token(self) -> str: ...


class Bench:
    """A workspace directory, a cluster and a control endpoint; one process is always warm."""

    def __init__(self, home: Path, remote: str, control: Endpoint) -> None:
        self.workspace = home / "workspace"
        self.control = control
        self._home, self._remote = home, remote
        self._count = 0
        self._warm = self._start()

    def notebook(self, path: str, *cells: str, ending: str = ".py") -> str:
        """A notebook in Databricks source format."""
        return self.file(path + ending, "# Databricks notebook source\n" + SEPARATOR.join(cells) + "\n")[: -len(ending)]

    def file(self, path: str, content: str | bytes) -> str:
        file = self.workspace / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def start(self, path: str, parameters: dict[str, str] | None = None, **document: Any) -> Running:
        self._count += 1
        output = self._home / f"run-{self._count}"
        given = {
            "run_id": self._count,
            "notebook_path": path,
            "workspace_root": str(self.workspace),
            "parameters": parameters or {},
            "remote": self._remote,
            "cluster_id": "0000-000000-pinflow0",
            "control_url": self.control.url,
            "control_token": self.control.token,
            "output": str(output),
            "secrets": {"aws": {"key": "s3cr3t-value"}},
            "user": "local@pinflow",
            "api_url": "http://127.0.0.1:8180",
            "api_token": "workspace-token",
        }
        process, self._warm = self._warm, self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(given | document).encode() + b"\n")
        process.stdin.flush()
        return Running(process, output)

    def run(self, path: str, parameters: dict[str, str] | None = None, **document: Any) -> Ended:
        return self.start(path, parameters, **document).wait()

    def cells(self, *cells: str, **document: Any) -> Ended:
        """Run a notebook of these cells."""
        return self.run(self.notebook(f"/Users/me/nb{self._count + 1}", *cells), **document)

    def stop(self) -> None:
        self._warm.kill()
        self._warm.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(python("spark")), "-m", "services.databricks.notebook"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )


class Server(ServerProcess):
    """A Spark Connect server of the tests' own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        super().__init__(home / "server.log")
        self.home, self.port = home, free_port()
        self.remote = f"sc://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        return [str(python("spark")), str(Path(__file__).with_name("server.py")), str(self.home), str(self.port)]

    def environment(self) -> Mapping[str, str]:
        jars = ROOT / ".pinflow" / "jars" / "spark" / "*"
        return {
            "SPARK_DIST_CLASSPATH": str(jars),
            "PYSPARK_PYTHON": str(python("spark")),
            "TZ": "UTC",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.home),
        }

    def is_ready(self) -> bool:
        return (self.home / "ready").exists()

    def start(self) -> None:
        (self.home / "ready").unlink(missing_ok=True)
        self.launch()
        self.wait_until_ready(180)
