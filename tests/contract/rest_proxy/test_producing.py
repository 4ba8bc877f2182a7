"""POST /topics/…: what no recorded case shows, for it is ours, needs several clients, or takes long on the real one."""

from __future__ import annotations

import asyncio
import base64
import http.client
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import IllegalStateError

from services.rest_proxy.app import MAX_BODY
from services.rest_proxy.batches import Record
from services.rest_proxy.cluster import Cluster
from services.rest_proxy.produce import Sending
from services.rest_proxy.settings import Settings
from tests.contract.rest_proxy.client import BINARY, JSON, Client
from tests.servers.service import Running


def test_keys_reach_kafka_as_json_and_decide_the_partition(client: Client) -> None:
    topic = client.new_topic(f"keyed.{uuid.uuid4()}", 3)
    records = [{"key": key, "value": n} for n, key in enumerate(("a", "b", "c", {"a": 1}, "a"))]
    entries = client.post(f"/topics/{topic}", {"records": records}, JSON).json()["offsets"]
    # What Utils.murmur2 of Kafka's Java client gives, modulo 3.
    assert [entry["partition"] for entry in entries] == [2, 2, 1, 2, 2]
    assert [record.key for record in client.on_topic(topic, 2)] == [b'"a"', b'"b"', b'{"a":1}', b'"a"']


def test_every_byte_can_be_sent_in_base64(client: Client, topic: str) -> None:
    data = bytes(range(256))
    records = [{"key": base64.b64encode(b"k").decode(), "value": base64.b64encode(data).decode()}]
    assert client.post(f"/topics/{topic}", {"records": records}, BINARY).status_code == 200
    assert [(record.key, record.value) for record in client.on_topic(topic)] == [(b"k", data)]


def test_a_row_of_ten_megabytes_is_refused_in_its_entry_and_its_neighbours_are_written(
    client: Client, topic: str
) -> None:
    entries = client.produce(topic, {"n": 1}, {"title": "x" * 10_000_000}, {"n": 3})
    assert [entry["error_code"] for entry in entries] == [None, 50002, None]
    assert [record.value for record in client.on_topic(topic)] == [b'{"n":1}', b'{"n":3}']


def test_a_batch_that_the_topic_finds_too_large_is_split_and_only_the_large_record_fails(
    client: Client, topic: str
) -> None:
    with KafkaAdminClient(bootstrap_servers=client.brokers) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": "5000"})])
    values = ["x" * 400 + str(n) for n in range(100)]
    values[50] = "y" * 6000
    entries = client.produce(topic, *values)
    assert [n for n, entry in enumerate(entries) if entry["error_code"]] == [50]
    assert entries[50]["error_code"] == 50002
    found = {record.offset: json.loads(record.value) for record in client.on_topic(topic)}
    assert {n: found.get(entry["offset"]) for n, entry in enumerate(entries) if n != 50} == {
        n: value for n, value in enumerate(values) if n != 50
    }


def test_requests_at_the_same_time_keep_the_order_of_each(client: Client, topic: str) -> None:
    def send(sender: int) -> None:
        for request in range(5):
            entries = client.produce(topic, *([sender, request * 100 + n] for n in range(100)))
            assert all(entry["error_code"] is None for entry in entries)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [json.loads(record.value) for record in client.on_topic(topic)]
    for sender in range(6):
        assert [number for by, number in values if by == sender] == list(range(500))


def test_records_without_a_key_go_to_another_partition_after_two_batches(client: Client) -> None:
    topic = client.new_topic(f"sticky.{uuid.uuid4()}", 8)
    used = []
    for _ in range(40):
        entries = client.produce(topic, *["x" * 1000] * 100)
        used += [entry["partition"] for entry in entries]
    stays = _runs(used)[:-1]
    # 262144 bytes a batch, 1002 a record; the same partition may be chosen twice in a row.
    assert stays and all(length % 524 == 0 for length in stays)


def _runs(values: list[Any]) -> list[int]:
    lengths = [1]
    for one, following in itertools.pairwise(values):
        if one == following:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


BLOCK = 0.5
"""Seconds of max.block.ms where a test waits for it in earnest."""


@pytest.fixture
def cluster(kafka: Running) -> Iterator[Cluster]:
    """The producing side of a proxy with a short max.block.ms."""
    options = {"max_block_ms": int(BLOCK * 1000), "acks": "all"}
    made = Cluster(Settings([kafka.profile.kafka.bootstrap_servers], "127.0.0.1", 1, producer=options))
    yield made
    made.close()


def outcome(
    cluster: Cluster, topic: str, records: list[Record], is_gone: Callable[[], bool] = lambda: False
) -> list[dict[str, Any]]:
    """The entries of the answer to these records."""

    async def run(work: Callable[[], None]) -> None:
        await asyncio.to_thread(work)

    async def gone() -> bool:
        return is_gone()

    async def answer() -> bytes:
        sending = Sending(cluster, topic, records)
        await run(sending.send)
        return await sending.finish(run, gone)

    entries: list[dict[str, Any]] = json.loads(asyncio.run(answer()))["offsets"]
    return entries


def test_each_record_to_an_absent_topic_blocks_those_behind_it(cluster: Cluster) -> None:
    began = time.monotonic()
    entries = outcome(cluster, "no.such.topic", [Record(None, b"1", None)] * 3)
    assert time.monotonic() - began >= 3 * BLOCK
    assert [entry["error_code"] for entry in entries] == [50003] * 3
    assert {entry["error"] for entry in entries} == {"Topic no.such.topic not present in metadata after 500 ms."}


def test_what_stands_behind_an_absent_partition_is_written_after_the_wait(
    cluster: Cluster, client: Client, topic: str
) -> None:
    records = [Record(None, b"1", 0), Record(None, b"2", 9), Record(None, b"3", None), Record(None, b"4", 9)]
    began = time.monotonic()
    entries = outcome(cluster, topic, records)
    assert time.monotonic() - began >= 2 * BLOCK
    assert [entry["error_code"] for entry in entries] == [None, 50003, None, 50003]
    assert entries[1]["error"].startswith(f"Partition 9 of topic {topic} with partition count 1 is not present")
    assert [record.value for record in client.on_topic(topic)] == [b"1", b"3"]


def test_a_client_that_went_away_is_not_waited_for_and_the_rest_is_written(
    cluster: Cluster, client: Client, topic: str
) -> None:
    records = [Record(None, b"1", 9)] * 200 + [Record(None, b"2", 0)]
    began = time.monotonic()
    entries = outcome(cluster, topic, records, is_gone=lambda: True)
    assert time.monotonic() - began < 200 * BLOCK / 2
    assert [entry["error_code"] for entry in entries] == [50003] * 200 + [None]
    assert [record.value for record in client.on_topic(topic)] == [b"2"]


def test_a_replaced_producer_writes_no_more_and_the_next_one_does(cluster: Cluster, client: Client, topic: str) -> None:
    assert outcome(cluster, topic, [Record(None, b"1", None)])[0]["error_code"] is None
    writer = cluster.writer()
    writer.producer._accumulator.muted.add(TopicPartition(topic, 0))  # as while a request is on its way
    written = writer.write(topic, [Record(None, b"2", 0)], {0})
    cluster.replace_writer(writer)
    written.batches[0].settled.result(timeout=30)
    assert isinstance(written.outcomes()[0], IllegalStateError)
    assert outcome(cluster, topic, [Record(None, b"3", None)])[0]["error_code"] is None
    assert [record.value for record in client.on_topic(topic)] == [b"1", b"3"]


def test_a_topic_that_appears_in_time_gets_its_records(client: Client) -> None:
    name = f"late.{uuid.uuid4()}"
    late = threading.Timer(1, client.new_topic, (name,))
    late.start()
    entries = client.produce(name, 1, 2)
    late.join()
    assert [entry["error_code"] for entry in entries] == [None, None]


def test_requests_that_wait_for_a_topic_do_not_keep_others_from_being_answered(client: Client, topic: str) -> None:
    waiting = [threading.Thread(target=client.produce, args=(f"absent.{n}", 1)) for n in range(60)]
    for thread in waiting:
        thread.start()
    for n in range(20):
        assert client.produce(topic, n)[0]["offset"] == n
    assert any(thread.is_alive() for thread in waiting), "they were answered first"
    for thread in waiting:
        thread.join()


@pytest.mark.parametrize("chunked", [False, True], ids=["declared length", "chunked"])
def test_a_body_over_the_limit_is_413_and_is_not_kept_in_memory(client: Client, proxy: Running, chunked: bool) -> None:
    piece = b"x" * (1024 * 1024)
    pieces = 3 * MAX_BODY // len(piece)
    before = psutil.Process(proxy.pid).memory_info().rss
    connection = http.client.HTTPConnection(client.url.removeprefix("http://"), timeout=60)
    headers: dict[str, Any] = {"Content-Type": JSON}
    if not chunked:
        headers["Content-Length"] = str(pieces * len(piece))
    connection.request("POST", "/topics/any", (piece for _ in range(pieces)), headers, encode_chunked=chunked)
    response = connection.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["error_code"] == 413
    assert psutil.Process(proxy.pid).memory_info().rss - before < 2 * MAX_BODY
    assert client.get("/topics").status_code == 200


def test_a_chunked_body_is_read_whole(client: Client, topic: str) -> None:
    connection = http.client.HTTPConnection(client.url.removeprefix("http://"), timeout=60)
    pieces = [b'{"records": [{"va', b'lue": 1}, {"value"', b": 2}]}"]
    connection.request("POST", f"/topics/{topic}", iter(pieces), {"Content-Type": JSON}, encode_chunked=True)
    assert connection.getresponse().status == 200
    assert [record.value for record in client.on_topic(topic)] == [b"1", b"2"]
