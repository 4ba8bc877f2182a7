"""LocalStack of these tests: its own ports and directory, with a REST proxy and a Connect that only take notes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from foundation.aws import client
from tests.contract.localstack.official import Official
from tests.servers.backends import Backend, FakeConnect
from tests.servers.localstack import LocalStack


@pytest.fixture(scope="session")
def rest_proxy() -> Backend:
    return Backend(lambda seen: (200, {"offsets": []}))


@pytest.fixture(scope="session")
def connect() -> FakeConnect:
    return FakeConnect()


@pytest.fixture(scope="session")
def localstack(
    tmp_path_factory: pytest.TempPathFactory, rest_proxy: Backend, connect: FakeConnect
) -> Iterator[LocalStack]:
    running = LocalStack.create(tmp_path_factory.mktemp("localstack"), rest_proxy.url, connect.backend.url)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def in_image(tmp_path_factory: pytest.TempPathFactory, rest_proxy: Backend) -> Iterator[LocalStack]:
    """LocalStack 4.14.0 as its image runs it, with a Connect of its own; skips where there is no Python 3.13."""
    running = Official.create(tmp_path_factory.mktemp("in-image"), rest_proxy.url, FakeConnect().backend.url)
    running.start()
    yield running
    running.stop()


def numbers(localstack: LocalStack, stream: str) -> list[int]:
    """The `ind` of each record of a stream, sorted."""
    kinesis, found = client(localstack.profile, "kinesis"), []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while records := (answer := kinesis.get_records(ShardIterator=iterator, Limit=5000))["Records"]:
            found += [json.loads(record["Data"])["ind"] for record in records]
            iterator = answer["NextShardIterator"]
    return sorted(found)
