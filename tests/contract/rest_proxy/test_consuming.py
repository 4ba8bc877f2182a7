"""Consumer instances of the stand-in itself; what their calls answer is in tests/recorded/rest_proxy/consuming.yaml."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from services.rest_proxy.bodies import NewInstance
from services.rest_proxy.cluster import Cluster
from services.rest_proxy.errors import RestError
from services.rest_proxy.instances import Instances
from services.rest_proxy.settings import Settings
from tests.contract.rest_proxy.client import JSON, Client
from tests.servers.service import Running


@pytest.fixture
def reading(client: Client, topic: str, request: pytest.FixtureRequest) -> str:
    """The path of an instance that has the topic and reads for up to 20 s."""
    settings = {"name": "me", "format": "json", "consumer.request.timeout.ms": 20_000}
    client.post(f"/consumers/group-{request.node.name}", settings)
    path = f"/consumers/group-{request.node.name}/instances/me"
    assert client.post(f"{path}/assignments", {"partitions": [{"topic": topic, "partition": 0}]}).status_code == 204
    return path


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda client, path: client.get(f"{path}/assignments"), 200),
        (lambda client, path: client.post(f"{path}/positions", {"offsets": []}), 204),
        (lambda client, path: client.delete(path), 204),
    ],
    ids=["assignments", "positions", "delete"],
)
def test_other_calls_are_answered_while_an_instance_reads(
    client: Client, reading: str, call: Callable[[Client, str], Any], status: int
) -> None:
    answers: list[Any] = []
    reader = threading.Thread(target=lambda: answers.append(client.get(f"{reading}/records", JSON)))
    reader.start()
    time.sleep(0.5)
    assert call(client, reading).status_code == status
    client.delete(reading)
    reader.join()
    assert answers[0].status_code == 404, "it was still reading when the instance went"


def test_an_idle_instance_expires(kafka: Running) -> None:
    settings = Settings([kafka.profile.kafka.bootstrap_servers], "127.0.0.1", 1)
    instances = Instances(Cluster(settings), settings)
    name = instances.create("expiring", NewInstance(name="idle"))
    instances.close_idle(60)
    assert instances.get("expiring", name).name == "idle"
    instances.close_idle(0)
    with pytest.raises(RestError, match="Consumer instance not found"):
        instances.get("expiring", name)
