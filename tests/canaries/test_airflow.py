"""Airflow, in each version that is installed, still has what services/airflow uses of its insides."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from foundation import packages
from tests.canaries import inside

FILE = Path(__file__).with_name("in_airflow.py")
VERSIONS = ("3.2.1", "2.11.2")


@cache
def results(version: str, home: Path) -> dict[str, str | None]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    settings = {"AIRFLOW_HOME": str(home), "AIRFLOW_VERSION": version}
    return inside.results(packages.python(f"airflow-{version}"), FILE, variables | settings)


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    if not packages.python(f"airflow-{request.param}").is_file():
        pytest.skip(f"Airflow {request.param} is not installed: it is not the one of the profile")
    return str(request.param)


@pytest.fixture(scope="module")
def home(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(f"airflow-{version}")


@pytest.mark.parametrize("check", inside.names(FILE))
def test_airflow(check: str, version: str, home: Path) -> None:
    assert results(version, home)[check] is None, results(version, home)[check]
