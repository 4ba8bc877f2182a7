"""The Kafka clients of the sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka.net.compat import KafkaNetClient


def connect(client: Callable[..., Any], bootstrap_servers: str, **settings: Any) -> Any:
    """A client of kafka-python (KafkaConsumer, …); raises KafkaError if no broker answers, and then leaves nothing.

    kafka-python 3.0's own constructors, when they fail, leave the network behind that they began with: a thread, a
    selector and a pair of sockets, with each attempt, for as long as Kafka is away.
    """
    networks: list[KafkaNetClient] = []

    def network(**options: Any) -> KafkaNetClient:
        networks.append(KafkaNetClient(**options))
        return networks[-1]

    try:
        return client(bootstrap_servers=bootstrap_servers, kafka_client=network, **settings)
    except BaseException:
        for made in networks:
            made.close()
        raise
