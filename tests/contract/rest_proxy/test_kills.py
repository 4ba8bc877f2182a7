"""SIGKILL in mid-production: what was acknowledged is on the topic, at the offset that was acknowledged."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import Any

import pytest
import requests
from kafka import KafkaAdminClient

from tests.contract.rest_proxy.client import JSON, Client
from tests.servers.service import Running

PER_REQUEST = 50


class Sender(threading.Thread):
    """Sends numbered records, request after request, and keeps what was acknowledged; never repeats one."""

    def __init__(self, client: Client, topic: str) -> None:
        super().__init__()
        self.client, self.topic = client, topic
        self.acknowledged: dict[int, int] = {}
        self.refused: dict[int, str] = {}
        self.sent = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            numbers = range(self.sent, self.sent + PER_REQUEST)
            self.sent += PER_REQUEST
            try:
                entries = self.client.produce(self.topic, *numbers)
            except requests.RequestException:
                time.sleep(0.2)
                continue
            for number, entry in zip(numbers, entries, strict=True):
                if entry["error_code"] is None:
                    self.acknowledged[number] = entry["offset"]
                else:
                    self.refused[number] = entry["error"]

    def finish(self) -> None:
        self.stopping.set()
        self.join(timeout=60)


def check(sender: Sender, found: list[Any], doubled: int = 0) -> None:
    """Everything acknowledged stands where it was said to; nothing is out of order, and no more is `doubled`."""
    values = [int(record.value) for record in found]
    at = {record.offset: int(record.value) for record in found}
    assert {number: at.get(offset) for number, offset in sender.acknowledged.items()} == {
        number: number for number in sender.acknowledged
    }
    assert len(values) - len(set(values)) <= doubled
    assert list(dict.fromkeys(values)) == sorted(set(values))


def test_broker_killed_while_records_come_in(kafka: Running, client: Client) -> None:
    topic = client.new_topic("broker.killed")
    sender = Sender(client, topic)
    sender.start()
    time.sleep(1)
    kafka.kill()
    before = len(sender.acknowledged)
    restart = kafka.start()
    time.sleep(3)
    sender.finish()
    assert len(sender.acknowledged) > before + PER_REQUEST, "the proxy did not recover"
    # Producers are not idempotent: what was written when the broker was killed, and not acknowledged, is sent again.
    check(sender, client.on_topic(topic), doubled=PER_REQUEST)
    # The records in hand wait for a restart that is shorter than delivery.timeout.ms (15 s).
    assert not sender.refused or restart > 12


def test_proxy_killed_while_records_come_in(proxy: Running, client: Client) -> None:
    topic = client.new_topic("proxy.killed")
    sender = Sender(client, topic)
    sender.start()
    for _ in range(2):
        time.sleep(0.7)
        proxy.kill()
        proxy.start()
    time.sleep(1)
    sender.finish()
    assert sender.acknowledged
    assert not sender.refused
    check(sender, client.on_topic(topic))


@pytest.mark.long
def test_a_broker_that_stays_away_is_50003_within_the_bound_and_nothing_is_written_later(
    kafka: Running, client: Client
) -> None:
    topic = client.new_topic("broker.away")
    assert client.produce(topic, 0)[0]["error_code"] is None
    kafka.kill()
    try:
        began = time.monotonic()
        entries = client.produce(topic, 1, 2)
        assert [entry["error_code"] for entry in entries] == [50003, 50003]
        assert time.monotonic() - began < 25
        looked = client.get("/topics")
        assert (looked.status_code, looked.json()["error_code"]) == (500, 50003)
        assert client.get("/").status_code == 200
        # An instance meets the broker when it is used; on the real one the subscription succeeds too.
        assert client.post("/consumers/away", {"name": "me"}).status_code == 200
        refused = client.post("/consumers/away/instances/me/subscription", {"topics": [topic]})
        assert (refused.status_code, refused.json()["error_code"]) == (500, 50003)
    finally:
        kafka.start()
    deadline = time.monotonic() + 20
    while client.produce(topic, 3)[0]["error_code"] is not None:
        assert time.monotonic() < deadline
    values = [int(record.value) for record in client.on_topic(topic)]
    assert values[0] == 0
    assert set(values[1:]) == {3}


def test_a_topic_that_is_deleted_and_made_again_takes_records_again(client: Client) -> None:
    topic = client.new_topic("made.again")
    client.produce(topic, 1)
    with KafkaAdminClient(bootstrap_servers=client.brokers) as admin:
        admin.delete_topics([topic])
    time.sleep(1)
    client.new_topic(topic)
    deadline = time.monotonic() + 40
    while (entry := client.produce(topic, 2)[0])["error_code"] is not None:
        assert time.monotonic() < deadline, entry
    assert {record.value for record in client.on_topic(topic)} == {b"2"}


def test_sigterm_finishes_the_requests_in_hand(proxy: Running, client: Client) -> None:
    topic = client.new_topic("proxy.stopped")
    body = json.dumps({"records": [{"value": "x" * 1000}] * 5000}).encode()
    head = f"POST /topics/{topic} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n"
    host, port = client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100"), "now the request is in hand"
        stopping = threading.Thread(target=proxy.stop)
        stopping.start()
        time.sleep(0.5)
        connection.sendall(body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        entries = json.loads(response.read())["offsets"]
    stopping.join()
    proxy.start()
    assert [entry["error_code"] for entry in entries] == [None] * 5000
    assert len(client.on_topic(topic)) == 5000
