"""Everything that reaches into kafka-python (3.0) and botocore. tests/canaries/test_connect.py fails by name if that
changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.handlers import set_list_objects_encoding_type_url
from kafka.net.compat import KafkaNetClient

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def connect(client: Callable[..., Any], bootstrap_servers: str, **settings: Any) -> Any:
    """A client of kafka-python (KafkaConsumer, …); raises KafkaError if no broker answers, and then leaves nothing.

    kafka-python's own constructors, when they fail, leave their network behind with each attempt: a thread, a selector
    and a pair of sockets. No upstream issue names it; the constructors raise where they bootstrap since 3.0
    (https://github.com/dpkp/kafka-python/pull/2942). Not needed any more once the canary of this name fails.
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


def list_plain_keys(client: S3Client) -> None:
    """Let ListObjectsV2 ask for keys that are not URL-encoded, which boto3 does by default.

    LocalStack before 4.14 compares encoded keys with the plain StartAfter and continuation token, and omits every key
    with a `+`, that is, all of this connector's (https://github.com/localstack/localstack/pull/13746). Not needed any
    more once no LocalStack older than that is supported.
    """
    client.meta.events.unregister("before-parameter-build.s3.ListObjectsV2", set_list_objects_encoding_type_url)
