"""(r) records per second through the REST proxy alone, and what each costs it in CPU.

The client costs next to nothing: bodies made beforehand, sent over plain sockets that stay open.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from tests.stack import TestStack

TOPIC = "bench.producing"

_RECORD = {
    "index": 7528,
    "unique_id": "fbe53c66-3442-4773-b19e-d3ec6f54dddf",
    "title": "20 Koala Crafts & Activities for Kids",
    "description": "Koala crafts and activities for kids: easy ideas for the classroom and for rainy days at home.",
    "poster_name": "Simple Everyday Mom",
    "follower_count": "27k",
    "tag_list": "Crafts,Easy Crafts For Kids,Preschool Crafts,Animal Crafts,Koala Craft,Classroom Ideas",
    "is_image_or_video": "image",
    "image_src": "https://i.example.com/originals/fb/e5/3c/fbe53c66344247736f54dddf.jpg",
    "downloaded": 1,
    "save_location": "Local save in /data/diy-and-crafts",
    "category": "diy-and-crafts",
}


@dataclass(frozen=True)
class Rate:
    """Records per second, and microseconds of the proxy's CPU for each."""

    records: float
    cpu: float


def measure(stack: TestStack, batch: int, clients: int) -> Rate:
    """`rate` at the REST proxy of a stack, on a topic of its own that nobody else reads."""
    with KafkaAdminClient(bootstrap_servers=stack.profile.kafka.bootstrap_servers) as admin:
        if TOPIC not in admin.list_topics():
            admin.create_topics([NewTopic(TOPIC, num_partitions=1)])
            admin.wait_for_topics([TOPIC])
    arguments = stack.profile.rest_proxy.url, stack.pid("rest_proxy"), TOPIC, batch, clients
    rate(*arguments, seconds=1)  # the first requests pay for what is made once
    return rate(*arguments)


def rate(url: str, pid: int, topic: str, batch: int, clients: int, seconds: float = 4) -> Rate:
    """Send requests of ``batch`` records of some 490 bytes one after the other over ``clients`` connections.

    Raises ValueError for an answer that is not 200 or holds a record that was not written.
    """
    body = json.dumps({"records": [{"value": _RECORD}] * batch}, separators=(",", ":")).encode()
    until = time.monotonic() + seconds
    counts = [0] * clients
    failures: list[Exception] = []

    def run(number: int) -> None:
        try:
            with _Connection(url, topic, body) as connection:
                while time.monotonic() < until:
                    connection.post()
                    counts[number] += batch
        except (OSError, ValueError) as error:
            failures.append(error)

    process = psutil.Process(pid)
    before, began = _cpu(process), time.monotonic()
    _in_threads([lambda number=number: run(number) for number in range(clients)])  # type: ignore[misc]
    elapsed, used = time.monotonic() - began, _cpu(process) - before
    if failures:
        raise failures[0]
    return Rate(sum(counts) / elapsed, used / sum(counts) * 1e6)


class _Connection:
    """One connection that posts the same body again and again."""

    def __init__(self, url: str, topic: str, body: bytes) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port or 80), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST /topics/{topic} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n"
        self._request = head.encode() + b"Content-Type: application/vnd.kafka.json.v2+json\r\n\r\n" + body

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def post(self) -> None:
        """Send the body and read the answer."""
        self._socket.sendall(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise ValueError(answer[:300].decode(errors="replace"))
        while len(rest) < int(length[1]):
            rest += self._receive()
        if b'"error_code":5' in rest:
            raise ValueError(rest[:300].decode(errors="replace"))

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the proxy closed the connection")
        return data


def _in_threads(calls: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
