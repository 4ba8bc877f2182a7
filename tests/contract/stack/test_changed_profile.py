"""`up` on a stack that runs, after its profile was edited: MySQL alone, in a folder of the hardest kind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import yaml

from foundation.profile import ROOT, load
from pinflow import instance


class Stack:
    """A stack of MySQL alone, and its profile's file."""

    def __init__(self, folder: Path) -> None:
        offset = instance.free_offset("local", 11_000 + os.getpid() % 100 * 50)
        self.file = instance.write("local", folder / "mine.yaml", folder / "state", offset)
        self.edit("stack", "services", ["mysql"])

    @property
    def state(self) -> Path:
        return self.file.parent / "state"

    @property
    def pid(self) -> int:
        return int((self.state / "run" / "mysql.pid").read_text().split()[0])

    def edit(self, section: str, key: str, value: Any) -> None:
        document = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        document[section][key] = value
        self.file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")

    def pinflow(self, *command: str, status: int = 0, **variables: str) -> str:
        """What a command says to the person; the file's secrets come from ``variables``."""
        done = subprocess.run(
            [sys.executable, "-m", "pinflow", "--profile", str(self.file), *command],
            cwd=ROOT,
            env={**os.environ, "RUNTIME": "native", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr

    def rows(self, password: str) -> int:
        """As a client of today asks: at the profile's address, with this password."""
        url = load(str(self.file)).database.engine_url
        connection = pymysql.connect(
            host=url.host, port=url.port or 0, user=url.username or "", password=password, database=url.database
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from pinterest_data")
            return int((cursor.fetchone() or [0])[0])


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    folder = tmp_path / "my 100% 'projects' é"
    folder.mkdir()
    stack = Stack(folder)
    try:
        yield stack
    finally:
        stack.pinflow("reset", "--yes")


def test_up_applies_what_was_edited_to_what_runs(stack: Stack) -> None:
    stack.pinflow("up")
    first, rows = stack.pid, stack.rows("pinflow")
    assert "changed" not in stack.pinflow("up")
    assert stack.pid == first, "nothing has changed, so it goes on"

    said = stack.pinflow("where", PINFLOW_DATABASE_PASSWORD="another")
    assert "mine.yaml has changed since its stack was last started: database.password\n" in said
    assert "another" not in said
    # The value comes from the environment, and supervisord has kept that of its own start.
    stack.pinflow("up", PINFLOW_DATABASE_PASSWORD="another")
    assert stack.rows("another") == rows
    second = stack.pid
    assert second != first

    port = instance.free_offset("local", 20_000 + os.getpid() % 100 * 50) + 3306
    stack.edit("database", "url", f"mysql+pymysql://pinflow@127.0.0.1:{port}/pinterest_data")
    assert f":{port}/pinterest_data" in stack.pinflow("where", PINFLOW_DATABASE_PASSWORD="another")
    stack.pinflow("up", PINFLOW_DATABASE_PASSWORD="another")
    assert stack.rows("another") == rows
    assert stack.pid != second
    assert "changed" not in stack.pinflow("where", PINFLOW_DATABASE_PASSWORD="another")


def test_a_stopped_stack_starts_with_the_profile_as_it_is(stack: Stack) -> None:
    stack.pinflow("up")
    stack.pinflow("down")
    stack.edit("database", "url", "mysql+pymysql://other@127.0.0.1:1/other")
    assert "changed" not in stack.pinflow("where")


def test_a_services_temporary_files_are_below_the_stack_and_gone_after_a_kill(stack: Stack) -> None:
    stack.pinflow("up")
    (left,) = (stack.state / "tmp" / "mysql").iterdir()
    (left / "left-behind").touch()
    first = stack.pid
    os.kill(first, 9)
    stack.pinflow("up")
    assert stack.pid != first
    assert not left.exists()
