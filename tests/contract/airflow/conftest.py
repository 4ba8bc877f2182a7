"""The Airflow versions that are installed here, each with a metadata database of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from foundation import packages

VERSIONS = ("3.2.1", "2.11.2")


@dataclass(frozen=True)
class Installed:
    """One version of Airflow, as it is without the settings of this machine."""

    version: str
    python: Path
    home: Path

    def start(self, script: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """A script with pipes for its input, output and errors."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        environment |= {"AIRFLOW_HOME": str(self.home), "AIRFLOW__CORE__UNIT_TEST_MODE": "False", **variables}
        command = [str(self.python), "-W", "ignore", str(script), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def run(self, script: Path, *arguments: str, **variables: str) -> str:
        """The last line that a script prints."""
        started = self.start(script, *arguments, **variables)
        out, err = started.communicate()
        assert started.returncode == 0, err
        return out.splitlines()[-1]


@pytest.fixture(scope="session", params=VERSIONS)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    python = packages.python(f"airflow-{request.param}")
    if not python.is_file():
        pytest.skip(f"Airflow {request.param} is not installed: it is not the one of the profile")
    home = tmp_path_factory.mktemp("airflow")
    subprocess.run(
        [str(python.with_name("airflow")), "db", "migrate"],
        env={**os.environ, "AIRFLOW_HOME": str(home)}, capture_output=True, check=True,
    )  # fmt: skip
    return Installed(request.param, python, home)
