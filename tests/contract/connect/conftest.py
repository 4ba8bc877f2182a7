from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.conftest import running
from tests.contract.connect.world import Pipe, World
from tests.servers.service import Running


@pytest.fixture(scope="session")
def world(kafka: Running) -> Iterator[World]:
    """Real Kafka, real LocalStack and the sink, started as the stack starts them."""
    for localstack in running("localstack", kafka.profile):
        for sink in running("connect", kafka.profile):
            yield World(kafka.profile, kafka, localstack, sink)


@pytest.fixture
def pipe(world: World) -> Iterator[Pipe]:
    """A connector name, bucket and topic of the test's own; the connector is not put yet."""
    with Pipe(world) as pipe:
        yield pipe
