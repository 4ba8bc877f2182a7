"""One stack for all end-to-end tests: starting it is most of their time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.stack import TestStack, running

# Secrets of the stack under test, which must turn up nowhere.
CANARIES = ("PINFLOW_DATABASE_PASSWORD", "PINFLOW_AWS_SECRET_ACCESS_KEY")
for _name in CANARIES:
    os.environ[_name] = f"canary-{_name.lower()}-7d1f/+="


@pytest.fixture(scope="session")
def stack() -> Iterator[TestStack]:
    """A whole stack on ports of its own, gone after the tests."""
    yield from running("e2e")
