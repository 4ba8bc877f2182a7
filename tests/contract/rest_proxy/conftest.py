from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.contract.kafka.running import Running, write_profile
from tests.contract.rest_proxy.client import Client


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A broker for all tests of this folder; a test that kills it starts it again."""
    home = tmp_path_factory.mktemp("rest_proxy")
    broker = Running("kafka", write_profile(home), home / "kafka.log")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def proxy(kafka: Running) -> Iterator[Running]:
    """The stand-in in front of it."""
    stand_in = Running("rest_proxy", kafka.profile, kafka.log.with_name("rest_proxy.log"))
    try:
        stand_in.start()
        yield stand_in
    finally:
        stand_in.stop()


@pytest.fixture(scope="session")
def client(proxy: Running) -> Client:
    return Client(proxy.profile)


@pytest.fixture
def topic(client: Client) -> str:
    """A topic of the test's own, with one partition."""
    return client.new_topic(f"test.{uuid.uuid4()}")
