"""`python -m emulator` as a person starts it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from foundation.profile import ROOT
from tests.contract.emulator.database import create


@functools.cache
def _database(rows: int) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "posts.db")
        create(file, range(rows))
        return file.read_bytes()


class Command:
    """The command with a profile of its own: SQLite as the source, the far end as API Gateway."""

    def __init__(self, directory: Path, invoke_url: str, rows: int = 12_000, name: str = "batch") -> None:
        self.name = name
        self.directory = directory
        profile = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
        (directory / "posts.db").write_bytes(_database(rows))
        profile["database"] = {"url": f"sqlite:///{directory / 'posts.db'}", "password": None}
        profile["api"]["invoke_url"] = invoke_url
        profile["stack"]["directory"] = str(directory / "state")
        self.profile = directory / "test.yaml"
        self.profile.write_text(yaml.safe_dump(profile), encoding="utf-8")

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "emulator", self.name, "--profile", str(self.profile), *options],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str) -> tuple[int, str, str]:
        process = self.start(*options)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def summary(self, *options: str) -> tuple[int, dict[str, Any]]:
        status, output, errors = self.run("--json", *options)
        assert output, errors
        return status, json.loads(output)
