"""/consumers/…: what people use to look at what they sent."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from services.rest_proxy.cluster import Cluster
from services.rest_proxy.consumers import Instances
from services.rest_proxy.errors import RestError
from services.rest_proxy.settings import Settings
from tests.contract.kafka.running import Running
from tests.contract.rest_proxy.client import BINARY, JSON, V2, Client


class Instance:
    """One consumer instance, by its base_uri."""

    def __init__(self, client: Client, group: str, **options: Any) -> None:
        settings = {"format": "json", "auto.offset.reset": "earliest", **options}
        self.client = client
        self.created = client.post(f"/consumers/{group}", settings).json()
        self.path = self.created["base_uri"].removeprefix(client.url)
        self.accept = JSON if settings["format"] == "json" else BINARY

    def subscribe(self, *topics: str) -> None:
        response = self.client.post(f"{self.path}/subscription", {"topics": list(topics)})
        assert response.status_code == 204

    def read(self, count: int, query: str = "") -> list[Any]:
        """So many records, in as many requests as it takes; the first ones may find the group not yet formed."""
        found: list[Any] = []
        deadline = time.monotonic() + 30
        while len(found) < count and time.monotonic() < deadline:
            response = self.client.get(f"{self.path}/records{query}", self.accept)
            assert response.status_code == 200, response.text
            found += response.json()
        return found

    def committed(self, *partitions: dict[str, Any]) -> Any:
        """The API wants a body with this GET."""
        body, headers = json.dumps({"partitions": partitions}), {"Content-Type": V2, "Accept": V2}
        answer = requests.get(f"{self.client.url}{self.path}/offsets", data=body, headers=headers, timeout=30)
        return answer.json()["offsets"]


@pytest.fixture
def instance(client: Client, request: pytest.FixtureRequest) -> Iterator[Instance]:
    made = Instance(client, f"group-{request.node.name}", name="me")
    yield made
    client.delete(made.path)


def test_create_names_the_instance_and_where_it_is(client: Client, instance: Instance) -> None:
    group = instance.path.split("/")[2]
    assert instance.created == {
        "instance_id": "me",
        "base_uri": f"{client.url}/consumers/{group}/instances/me",
    }
    again = client.post(f"/consumers/{group}", {"name": "me"})
    assert (again.status_code, again.json()["error_code"]) == (409, 40902)


def test_subscribe_and_read_what_was_sent(client: Client, topic: str, instance: Instance) -> None:
    body = b'{"records":[{"key":"k","value":{"b":1.10,"a":[]}},{"value":null}]}'
    client.post(f"/topics/{topic}", body, JSON)
    instance.subscribe(topic)
    assert client.get(f"{instance.path}/subscription").json() == {"topics": [topic]}
    assert instance.read(2) == [
        {"topic": topic, "key": "k", "value": {"b": 1.1, "a": []}, "partition": 0, "offset": 0},
        {"topic": topic, "key": None, "value": None, "partition": 0, "offset": 1},
    ]
    assert client.get(f"{instance.path}/assignments").json() == {"partitions": [{"topic": topic, "partition": 0}]}
    client.post(f"{instance.path}/positions/beginning", {"partitions": [{"topic": topic, "partition": 0}]})
    raw = client.get(f"{instance.path}/records", JSON)
    assert raw.headers["Content-Type"] == JSON
    assert b'"value":{"b":1.10,"a":[]}' in raw.content


def test_a_pattern_subscribes_to_every_topic_that_it_matches(client: Client, instance: Instance) -> None:
    for name in ("pattern.pin", "pattern.geo"):
        client.produce(client.new_topic(name), name)
    assert client.post(f"{instance.path}/subscription", {"topic_pattern": r"pattern\..*"}).status_code == 204
    assert {record["value"] for record in instance.read(2)} == {"pattern.pin", "pattern.geo"}


def test_binary_records_come_as_base64(client: Client, topic: str) -> None:
    client.produce(topic, {"a": 1})
    reader = Instance(client, "binary-readers", format="binary")
    reader.subscribe(topic)
    (record,) = reader.read(1)
    assert base64.b64decode(record["value"]) == b'{"a":1}'
    # Without a wish the answer is binary, as with the real one.
    assert client.get(f"{reader.path}/records", None).headers["Content-Type"] == BINARY
    client.delete(reader.path)


def test_reading_in_another_format_than_the_instances_own_is_40601(client: Client, instance: Instance) -> None:
    for accept in (BINARY, V2, None):
        response = client.get(f"{instance.path}/records", accept)
        assert (response.status_code, response.json()["error_code"]) == (406, 40601)


def test_max_bytes_limits_a_read_and_the_rest_comes_with_the_next(client: Client, instance: Instance) -> None:
    topic = client.new_topic("limited", 2)
    sent = {"records": [{"value": f"{n:0100d}", "partition": n % 2} for n in range(20)]}
    client.post(f"/topics/{topic}", sent, JSON)
    instance.subscribe(topic)
    sizes: set[int] = set()
    found: list[Any] = []
    while len(found) < 20:
        page = client.get(f"{instance.path}/records?max_bytes=350", JSON).json()
        sizes.add(len(page))
        found += page
    assert max(sizes) == 3
    assert sorted(int(record["value"]) for record in found) == list(range(20))
    for partition in (0, 1):
        assert [r["offset"] for r in found if r["partition"] == partition] == list(range(10))


def test_an_empty_topic_answers_an_empty_list_after_the_timeout(client: Client, topic: str, instance: Instance) -> None:
    instance.subscribe(topic)
    client.get(f"{instance.path}/records", JSON)
    began = time.monotonic()
    assert client.get(f"{instance.path}/records?timeout=300", JSON).json() == []
    assert 0.25 < time.monotonic() - began < 0.95


def test_a_record_that_is_not_json_is_reported_once_and_the_others_are_read(
    client: Client, topic: str, instance: Instance
) -> None:
    records = [{"value": base64.b64encode(value).decode()} for value in (b"1", b"\xff{", b"3")]
    client.post(f"/topics/{topic}", {"records": records}, BINARY)
    instance.subscribe(topic)
    assert [record["value"] for record in instance.read(1)] == [1]
    failed = client.get(f"{instance.path}/records", JSON)
    assert (failed.status_code, failed.json()["error_code"]) == (500, 50002)
    assert f"{topic} partition 0 offset 1" in failed.json()["message"]
    assert [record["value"] for record in instance.read(1)] == [3]


def test_committed_offsets_are_where_the_next_instance_goes_on(client: Client, topic: str) -> None:
    where = {"topic": topic, "partition": 0}
    client.produce(topic, *range(5))
    first = Instance(client, "committing", **{"auto.commit.enable": "false"})
    first.subscribe(topic)
    assert len(first.read(5)) == 5
    # The offset of the last record that was dealt with: Kafka keeps the next one.
    committed = client.post(f"{first.path}/offsets", {"offsets": [{**where, "offset": 2}]})
    assert committed.status_code == 200
    assert first.committed(where, {**where, "partition": 9}) == [{**where, "offset": 3, "metadata": ""}]
    client.delete(first.path)
    second = Instance(client, "committing")
    second.subscribe(topic)
    assert [record["value"] for record in second.read(2)] == [3, 4]
    client.post(f"{second.path}/offsets")
    assert second.committed(where) == [{**where, "offset": 5, "metadata": ""}]
    client.delete(second.path)


def test_partitions_can_be_assigned_and_positions_set_by_hand(client: Client, topic: str, instance: Instance) -> None:
    where = {"topic": topic, "partition": 0}
    client.produce(topic, *range(5))
    assert client.post(f"{instance.path}/assignments", {"partitions": [where]}).status_code == 204
    assert len(instance.read(5)) == 5
    assert client.post(f"{instance.path}/positions", {"offsets": [{**where, "offset": 3}]}).status_code == 204
    assert [record["offset"] for record in instance.read(2)] == [3, 4]
    assert client.post(f"{instance.path}/positions/end", {"partitions": [where]}).status_code == 204
    assert client.get(f"{instance.path}/records?timeout=200", JSON).json() == []
    response = client.post(f"{instance.path}/subscription", {"topics": [topic]})
    assert (response.status_code, response.json()["error_code"]) == (409, 40903)
    response = client.post(f"{instance.path}/positions", {"offsets": [{**where, "partition": 5, "offset": 3}]})
    assert (response.status_code, response.json()["error_code"]) == (409, 40903)


def test_a_deleted_instance_is_gone(client: Client) -> None:
    gone = Instance(client, "leaving")
    assert client.delete(gone.path).status_code == 204
    for response in (client.delete(gone.path), client.get(f"{gone.path}/records", JSON)):
        assert (response.status_code, response.json()["error_code"]) == (404, 40403)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"format": "avro"}, 42204),
        ({"auto.offset.reset": "middle"}, 42204),
        ({"auto.commit.enable": "perhaps"}, 42204),
        ({"consumer.request.timeout.ms": "soon"}, 42204),
        ({"unknown": 1}, 422),
        ([], 422),
    ],
)
def test_an_instance_that_cannot_be_made_is_422(client: Client, document: Any, code: int) -> None:
    response = client.post("/consumers/refused", document)
    assert (response.status_code, response.json()["error_code"]) == (422, code)


@pytest.mark.parametrize("document", [None, {}, {"topics": "x"}, {"topics": ["x"], "topic_pattern": "x"}, {"a": 1}])
def test_a_bad_subscription_is_422(client: Client, instance: Instance, document: Any) -> None:
    response = client.post(f"{instance.path}/subscription", document)
    assert response.status_code == 422


def test_an_idle_instance_expires(kafka: Running) -> None:

    settings = Settings([kafka.profile.kafka.bootstrap_servers], "127.0.0.1", 1)
    instances = Instances(Cluster(settings), settings)
    name = instances.create("expiring", {"name": "idle"})
    instances.close_idle(60)
    assert instances.get("expiring", name).name == "idle"
    time.sleep(0.2)
    instances.close_idle(0.1)
    with pytest.raises(RestError, match="Consumer instance not found"):
        instances.get("expiring", name)
