from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.kafka.running import Running, write_profile


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A broker for all tests of this folder; a test that stops it starts it again."""
    home = tmp_path_factory.mktemp("kafka")
    broker = Running("kafka", write_profile(home), home / "kafka.log")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
