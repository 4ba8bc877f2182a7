"""Connector configurations in Kafka: the worker's compacted config storage topic, in the real worker's format.

Keys `connector-<name>` (`{"properties": {…}}`) and `target-state-<name>` (`{"state": …, "state.v2": …}`); a null
value deletes. So they survive restarts, and a real worker on the same cluster would find them.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import TopicAlreadyExistsError

from services.connect.compat import connect

log = logging.getLogger(__name__)

_CONNECTOR = "connector-"
_STATE = "target-state-"


def create_topic(admin: KafkaAdminClient, name: str, settings: dict[str, Any]) -> None:
    """Create a topic of one partition unless it exists."""
    try:
        if name not in admin.list_topics():
            admin.create_topics({name: {"num_partitions": 1, **settings}}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        pass  # another task was faster


class ConfigTopic:
    """Reads everything at the start, writes with acks=all."""

    def __init__(self, bootstrap_servers: str, topic: str, replication_factor: int) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        settings = {"replication_factor": replication_factor, "configs": {"cleanup.policy": "compact"}}
        with connect(KafkaAdminClient, bootstrap_servers) as admin:
            self.cluster_id = str(admin.describe_cluster()["cluster_id"])
            create_topic(admin, topic, settings)
        self._producer = connect(
            KafkaProducer, bootstrap_servers, acks="all", delivery_timeout_ms=20000, request_timeout_ms=10000
        )

    def load(self) -> tuple[dict[str, dict[str, str | None]], dict[str, str]]:
        """All connectors: name → properties, and name → target state (STARTED, PAUSED or STOPPED)."""
        configs: dict[str, dict[str, str | None]] = {}
        states: dict[str, str] = {}
        for key, value in self._records():
            if key.startswith(_CONNECTOR):
                name = key.removeprefix(_CONNECTOR)
                if value is None:
                    configs.pop(name, None)
                else:
                    configs[name] = value["properties"]
            elif key.startswith(_STATE):
                name = key.removeprefix(_STATE)
                if value is None:
                    states.pop(name, None)
                else:
                    states[name] = str(value.get("state.v2") or value["state"])
        return configs, states

    def _records(self) -> list[tuple[str, Any]]:
        partition = TopicPartition(self._topic, 0)
        consumer = connect(KafkaConsumer, self._bootstrap_servers, enable_auto_commit=False)
        try:
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            end = consumer.end_offsets([partition])[partition]
            records = []
            while consumer.position(partition) < end:
                for record in consumer.poll(timeout_ms=1000).get(partition, []):
                    records.append(((record.key or b"").decode(), json.loads(record.value) if record.value else None))
            return records
        finally:
            consumer.close(autocommit=False)

    def write(self, name: str, properties: dict[str, str | None] | None) -> None:
        """Store a connector's properties; None deletes the connector and its state."""
        if properties is None:
            self._put(_STATE + name, None)
        self._put(_CONNECTOR + name, None if properties is None else {"properties": properties})

    def write_state(self, name: str, state: str) -> None:
        """Store the target state. ``state`` is for workers older than 3.5, which know no STOPPED."""
        self._put(_STATE + name, {"state": "PAUSED" if state == "STOPPED" else state, "state.v2": state})

    def _put(self, key: str, value: dict[str, Any] | None) -> None:
        encoded = None if value is None else json.dumps(value).encode()
        self._producer.send(self._topic, encoded, key.encode()).get(timeout=20)

    def close(self) -> None:
        """Close the producer."""
        self._producer.close(timeout=1)
