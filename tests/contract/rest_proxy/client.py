"""HTTP as a person's curl speaks it to the proxy, and Kafka as it is behind the proxy's back."""

from __future__ import annotations

import json
from typing import Any

import requests
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from foundation.profile import Profile

V2 = "application/vnd.kafka.v2+json"
JSON = "application/vnd.kafka.json.v2+json"
BINARY = "application/vnd.kafka.binary.v2+json"


class Client:
    def __init__(self, profile: Profile) -> None:
        self.url = profile.rest_proxy.url
        self.brokers = profile.kafka.bootstrap_servers

    def get(self, path: str, accept: str | None = V2, **options: Any) -> requests.Response:
        return requests.get(self.url + path, headers={"Accept": accept}, timeout=60, **options)

    def delete(self, path: str) -> requests.Response:
        return requests.delete(self.url + path, headers={"Accept": V2}, timeout=60)

    def post(
        self,
        path: str,
        body: Any = None,
        content_type: str | None = V2,
        accept: str | None = V2,
    ) -> requests.Response:
        """POST; a body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "Accept": accept}
        return requests.post(self.url + path, data=data, headers=headers, timeout=60)

    def produce(self, topic: str, *values: Any) -> list[dict[str, Any]]:
        """The entries of a request with these values."""
        response = self.post(f"/topics/{topic}", {"records": [{"value": value} for value in values]}, JSON)
        assert response.status_code == 200, response.text
        entries: list[dict[str, Any]] = response.json()["offsets"]
        return entries

    def new_topic(self, name: str, partitions: int = 1) -> str:
        with KafkaAdminClient(bootstrap_servers=self.brokers) as admin:
            admin.create_topics([NewTopic(name, num_partitions=partitions)])
            admin.wait_for_topics([name])
        return name

    def on_topic(self, name: str, partition: int = 0) -> list[Any]:
        """Kafka's own records of a partition, from its first to the last there is now."""
        consumer = KafkaConsumer(bootstrap_servers=self.brokers, auto_offset_reset="earliest")
        where = TopicPartition(name, partition)
        try:
            end = consumer.end_offsets([where])[where]
            consumer.assign([where])
            found: list[Any] = []
            while consumer.position(where) < end:
                found += consumer.poll(timeout_ms=1000).get(where, [])
            return found
        finally:
            consumer.close()
