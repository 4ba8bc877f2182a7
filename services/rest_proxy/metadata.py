"""Questions to the cluster: brokers, topics, partitions, offsets."""

from __future__ import annotations

from typing import Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import UnknownTopicOrPartitionError, for_code

from services.rest_proxy.cluster import Cluster, is_legal
from services.rest_proxy.errors import RestError, partition_not_found, topic_not_found


def brokers(cluster: Cluster) -> dict[str, list[int]]:
    """The ids of the brokers."""
    described = cluster.ask(lambda admin: admin.describe_cluster())
    return {"brokers": sorted(broker["broker_id"] for broker in described["brokers"])}


def topics(cluster: Cluster) -> list[str]:
    """The names of all topics except Kafka's internal ones, sorted."""
    found = cluster.ask(lambda admin: admin.describe_topics())
    return sorted(topic["name"] for topic in found if not topic["is_internal"])


def topic(cluster: Cluster, name: str) -> dict[str, Any]:
    """A topic's settings and partitions; raises 404 if there is none of that name."""
    found = partitions(cluster, name)
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    described = cluster.ask(lambda admin: admin.describe_configs([resource], config_filter="all"))
    configs = {key: config["value"] for key, config in sorted(described["topic"][name].items())}
    return {"name": name, "configs": configs, "partitions": found}


def partitions(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """A topic's partitions with their replicas; raises 404 if the topic does not exist, 400 if its name is illegal."""
    if not is_legal(name):
        raise RestError(400, 40002, "The request attempted to perform an operation on an invalid topic.")
    (found,) = cluster.ask(lambda admin: admin.describe_topics([name]))
    if found["error_code"]:
        error = for_code(found["error_code"])
        if error is UnknownTopicOrPartitionError:
            raise topic_not_found()
        raise error(found["name"])
    return [_partition(partition) for partition in sorted(found["partitions"], key=lambda p: p["partition_index"])]


def partition(cluster: Cluster, name: str, number: int) -> dict[str, Any]:
    """One partition; raises 404 if there is none of that number."""
    for found in partitions(cluster, name):
        if found["partition"] == number:
            return found
    raise partition_not_found()


def offsets(cluster: Cluster, name: str, number: int) -> dict[str, int]:
    """A partition's first offset, and the offset of its next record."""
    partition(cluster, name, number)
    where = TopicPartition(name, number)

    def at(spec: OffsetSpec) -> int:
        found = cluster.ask(lambda admin: admin.list_partition_offsets({where: spec}))
        return int(found[where].offset)

    return {"beginning_offset": at(OffsetSpec.EARLIEST), "end_offset": at(OffsetSpec.LATEST)}


def _partition(partition: dict[str, Any]) -> dict[str, Any]:
    leader = partition["leader_id"]
    replicas = [
        {"broker": broker, "leader": broker == leader, "in_sync": broker in partition["isr_nodes"]}
        for broker in partition["replica_nodes"]
    ]
    return {"partition": partition["partition_index"], "leader": leader, "replicas": replicas}
