from __future__ import annotations

import uuid

import pytest

from tests.contract.rest_proxy.client import Client
from tests.servers.service import Running


@pytest.fixture(scope="session")
def client(proxy: Running) -> Client:
    return Client(proxy.profile)


@pytest.fixture
def topic(client: Client) -> str:
    """A topic of the test's own, with one partition."""
    return client.new_topic(f"test.{uuid.uuid4()}")
