"""Servers that the suites of Kafka, the REST proxy and Connect share: each is started once, when a test first needs it.

A test that kills one starts it again. What a test makes in them has a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from foundation.profile import Profile
from tests.servers.service import Running, write_profile


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """The local profile on ports and in a directory of its own."""
    return write_profile(tmp_path_factory.mktemp("shared"), "kafka", "rest_proxy", "localstack", "connect")


@pytest.fixture(scope="session")
def kafka(profile: Profile) -> Iterator[Running]:
    yield from running("kafka", profile)


@pytest.fixture(scope="session")
def proxy(kafka: Running) -> Iterator[Running]:
    """The stand-in in front of Kafka."""
    yield from running("rest_proxy", kafka.profile)


def running(name: str, profile: Profile) -> Iterator[Running]:
    """A service while a fixture lives."""
    service = Running(name, profile)
    try:
        service.start()
        yield service
    finally:
        service.stop()
