"""A MySQL of the test's own: its own directory, its own port, started the way the stack starts it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.profile import ROOT, Profile, load
from services.mysql.database import connect
from services.mysql.native import SERVICE
from tests.servers.process import ServerProcess
from tests.servers.service import write_profile


class Instance(ServerProcess):
    """One server, whose profile is read anew for each use; `said` is what loading told the person."""

    def __init__(self, home: Path) -> None:
        super().__init__(home / "mysql.log")
        self.home = home
        self.file = write_profile(home, "mysql").path
        self.said: list[str] = []

    @property
    def profile(self) -> Profile:
        return load(str(self.file))

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "pinflow.stack.launch", "mysql", str(self.file)]

    def is_ready(self) -> bool:
        SERVICE.probe(self.profile)
        return True

    def write(self, document: dict[str, Any]) -> None:
        """Give it another profile, for its next start."""
        self.file.write_text(yaml.safe_dump(document), encoding="utf-8")

    def dump(self, path: Path | None) -> None:
        """Set stack.dump in the profile."""
        document = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        document["stack"]["dump"] = str(path) if path else None
        self.write(document)

    def start(self) -> None:
        """Start it and wait; `load` is a call of its own."""
        SERVICE.prepare(self.profile)
        self.launch(directory=ROOT)
        self.wait_until_ready(SERVICE.timeout)

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
