"""GET: topics, partitions, brokers; errors of paths and methods."""

from __future__ import annotations

import psutil
import pytest

from services.rest_proxy import native
from tests.contract.kafka.running import Running
from tests.contract.rest_proxy.client import V2, Client


def test_topics_are_listed_without_kafkas_own(client: Client, kafka: Running) -> None:
    listed = client.get("/topics").json()
    assert set(kafka.profile.topics) <= set(listed)
    assert listed == sorted(listed)
    assert not [name for name in listed if name.startswith("__")]


def test_a_topic_has_its_settings_and_partitions(client: Client) -> None:
    topic = client.new_topic("looked.at", 2)
    found = client.get(f"/topics/{topic}")
    assert found.headers["Content-Type"] == V2
    replicas = [{"broker": 1, "leader": True, "in_sync": True}]
    partitions = [{"partition": n, "leader": 1, "replicas": replicas} for n in range(2)]
    assert (found.json()["name"], found.json()["partitions"]) == (topic, partitions)
    assert found.json()["configs"]["cleanup.policy"] == "delete"
    assert client.get(f"/topics/{topic}/partitions").json() == partitions
    assert client.get(f"/topics/{topic}/partitions/1").json() == partitions[1]


def test_the_offsets_of_a_partition(client: Client) -> None:
    topic = client.new_topic("counted")
    client.produce(topic, 1, 2, 3)
    assert client.get(f"/topics/{topic}/partitions/0/offsets").json() == {"beginning_offset": 0, "end_offset": 3}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/topics/absent", 40403),
        ("/topics/absent/partitions", 40403),
        ("/topics/absent/partitions/0", 40403),
        ("/topics/not valid!", 40403),
        ("/topics/looked.at.too/partitions/7", 40402),
        ("/topics/looked.at.too/partitions/7/offsets", 40402),
        ("/consumers/g/instances/i/records", 40403),
        ("/nothing", 404),
    ],
)
def test_404_says_what_is_absent(client: Client, path: str, code: int) -> None:
    if "looked.at.too" in path and "looked.at.too" not in client.get("/topics").json():
        client.new_topic("looked.at.too")
    response = client.get(path)
    assert (response.status_code, response.json()["error_code"]) == (404, code)


def test_a_method_that_a_path_does_not_have_is_405(client: Client) -> None:
    response = client.delete("/topics")
    assert (response.status_code, response.json()["error_code"]) == (405, 405)


def test_brokers_and_root(client: Client) -> None:
    assert client.get("/brokers").json() == {"brokers": [1]}
    assert client.get("/").json() == {}


def test_it_listens_on_127_0_0_1_and_nowhere_else(proxy: Running) -> None:
    sockets = psutil.Process(proxy.pid).net_connections(kind="inet")
    listening = {tuple(found.laddr) for found in sockets if found.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", port) for port in native.ports(proxy.profile)}
