"""LocalStack still has, and still needs, what services/localstack/compat.py changes in it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from foundation import environment, packages
from foundation.profile import ROOT
from tests.canaries import inside

FILE = Path(__file__).with_name("in_localstack.py")


@cache
def results(home: Path) -> dict[str, str | None]:
    settings = {"PINFLOW_DIRECTORY": str(ROOT), "FILESYSTEM_ROOT": str(home), "HOME": str(home)}
    return inside.results(packages.python("localstack"), FILE, os.environ | environment.read("localstack") | settings)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not packages.python("localstack").is_file():
        pytest.skip("LocalStack is not installed: `make install`")
    return tmp_path_factory.mktemp("localstack")


@pytest.mark.parametrize("check", inside.names(FILE))
def test_localstack(check: str, home: Path) -> None:
    assert results(home)[check] is None, results(home)[check]
