from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.notebook.bench import Bench, Server
from tests.contract.notebook.control import Control


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Spark Connect server for all tests."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill_all()


@pytest.fixture(scope="session")
def bench(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    control = Control(tmp_path_factory.mktemp("dbfs"))
    bench = Bench(tmp_path_factory.mktemp("bench"), server.remote, control)
    yield bench
    bench.stop()
    control.stop()
