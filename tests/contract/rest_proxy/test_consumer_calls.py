"""The calls of a consumer instance by their paths, as a client makes them that does not look at base_uri."""

from __future__ import annotations

import requests

from tests.contract.rest_proxy.client import V2, Client


def test_an_instance_is_subscribed_and_unsubscribed_commits_and_is_deleted(client: Client) -> None:
    topic = client.new_topic("called.by.path")
    client.produce(topic, 1, 2)
    instance = "/consumers/by-path/instances/me"
    assert client.post("/consumers/by-path", {"name": "me", "format": "json"}).status_code == 200
    assert client.post(f"{instance}/subscription", {"topics": [topic]}).status_code == 204
    assert client.delete(f"{instance}/subscription").status_code == 204
    assert client.get(f"{instance}/subscription").json() == {"topics": []}
    where = {"topic": topic, "partition": 0}
    assert client.post(f"{instance}/assignments", {"partitions": [where]}).status_code == 204
    assert client.post(f"{instance}/offsets", {"offsets": [{**where, "offset": 0}]}).status_code == 200
    headers = {"Accept": V2, "Content-Type": V2}
    asked = {"partitions": [where]}
    committed = requests.get(f"{client.url}{instance}/offsets", json=asked, headers=headers, timeout=30).json()
    assert [entry["offset"] for entry in committed["offsets"]] == [1]
    assert client.delete(instance).status_code == 204
