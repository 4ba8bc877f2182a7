"""A far end per test, closed when the test is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.emulator.far_end import FarEnd


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    server = FarEnd()
    yield server
    server.close()
