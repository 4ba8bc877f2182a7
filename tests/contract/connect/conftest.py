from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from foundation.profile import Profile, load
from pinflow import instance
from tests.contract.connect.world import Pipe, World
from tests.contract.kafka.running import Running


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """The local profile on ports and in a directory of its own."""
    home = tmp_path_factory.mktemp("connect")
    offset = instance.free_offset("local", start=13950)
    return load(str(instance.write("local", home / "profile.yaml", home / "state", offset)))


@pytest.fixture(scope="session")
def world(profile: Profile) -> Iterator[World]:
    """Real Kafka, real LocalStack and the sink, started as the stack starts them."""
    with ExitStack() as stack:
        running = []
        for name in ("kafka", "localstack", "connect"):
            service = Running(name, profile, profile.path.with_name(f"{name}.log"))
            stack.callback(service.stop)
            service.start()
            running.append(service)
        yield World(profile, *running)


@pytest.fixture
def pipe(world: World) -> Iterator[Pipe]:
    """A connector name, bucket and topic of the test's own; the connector is not put yet."""
    with Pipe(world) as pipe:
        yield pipe
