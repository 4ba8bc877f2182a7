"""What services/connect/compat.py patches in kafka-python and botocore is still there; and still needed."""

from __future__ import annotations

import socket
import threading

import boto3
import botocore.handlers
import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from services.connect import compat


@pytest.fixture
def nowhere() -> str:
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_constructor_that_fails_still_leaves_its_network_thread_behind(nowhere: str) -> None:
    before = set(threading.enumerate())
    with pytest.raises(KafkaError):
        KafkaAdminClient(bootstrap_servers=nowhere, bootstrap_timeout_ms=100)
    assert set(threading.enumerate()) - before, "compat.connect is not needed any more"


def test_the_clients_take_a_network_client_which_can_be_closed(nowhere: str) -> None:
    assert "kafka_client" in KafkaAdminClient.DEFAULT_CONFIG
    assert callable(KafkaNetClient.close)
    before = set(threading.enumerate())
    with pytest.raises(KafkaError):
        compat.connect(KafkaAdminClient, nowhere, bootstrap_timeout_ms=100)
    assert set(threading.enumerate()) <= before


def test_list_objects_still_asks_for_encoded_keys_and_can_be_stopped_from_it() -> None:
    client = boto3.session.Session().client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    asked: list[str] = []

    def note(params: dict[str, str], **_: object) -> None:
        asked.append(params.get("EncodingType", "plain"))
        raise InterruptedError

    client.meta.events.register_last("before-parameter-build.s3.ListObjectsV2", note)
    for _ in range(2):
        with pytest.raises(InterruptedError):
            client.list_objects_v2(Bucket="b")
        compat.list_plain_keys(client)
    assert asked == ["url", "plain"]
    assert callable(botocore.handlers.set_list_objects_encoding_type_url)
