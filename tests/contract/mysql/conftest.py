"""A MySQL of the test's own: its own directory, its own port, started the way the stack starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.errors import NotReady
from foundation.profile import ROOT, Profile, load
from services.mysql.database import connect
from services.mysql.native import SERVICE


class Instance:
    """One server; `said` is what loading told the person."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "profile.yaml"
        self.log = home / "mysql.log"
        self.said: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
        document["database"]["url"] = f"mysql+pymysql://pinflow@127.0.0.1:{_free_port()}/pinterest_data"
        document["stack"] |= {"directory": str(home / "state"), "services": ["mysql"]}
        self.write(document)

    def write(self, document: dict[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump(document), encoding="utf-8")

    @property
    def profile(self) -> Profile:
        return load(str(self.file))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def dump(self, path: Path | None) -> None:
        """Set stack.dump in the profile."""
        document = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        document["stack"]["dump"] = str(path) if path else None
        self.write(document)

    def start(self) -> None:
        SERVICE.prepare(self.profile)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pinflow.stack.launch", "mysql", str(self.file)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + SERVICE.timeout
        while True:
            try:
                return SERVICE.probe(self.profile)
            except NotReady as error:
                text = self.log.read_text(errors="replace")
                assert self._process.poll() is None, text
                assert time.monotonic() < deadline, f"{error}\n{text}"
                time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process and self._process.poll() is None:
            os.kill(self._process.pid, number)
            self._process.wait(30)

    def load(self) -> str:
        """Run the service's initialise; returns what it said."""
        self.said.clear()
        SERVICE.initialise(self.profile, self.said.append)
        return "\n".join(self.said)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with connect(self.profile) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def counts(self) -> list[int]:
        return [
            self.rows(f"SELECT COUNT(*) FROM `{table}`")[0][0]
            for table in ("pinterest_data", "geolocation_data", "user_data")
        ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def mysql(tmp_path: Path) -> Iterator[Instance]:
    """A running server without any table."""
    instance = Instance(tmp_path)
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A running server with the generated rows, for tests that change nothing."""
    instance = Instance(tmp_path_factory.mktemp("mysql"))
    try:
        instance.start()
        instance.load()
        yield instance
    finally:
        instance.stop()
