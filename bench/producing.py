"""(r) records per second through the REST proxy alone, and the CPU that each costs.

The client is as cheap as possible: a prepared body, sent over plain sockets that stay open.
"""

from __future__ import annotations

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
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
    url, pid = stack.profile.rest_proxy.url, stack.pid("rest_proxy")
    rate(url, pid, batch, clients, seconds=1)  # the first requests pay for what is made once
    return rate(url, pid, batch, clients, seconds=4)


def rate(url: str, pid: int, batch: int, clients: int, seconds: float) -> Rate:
    """Send requests of ``batch`` records of about 490 bytes one after the other over ``clients`` connections.

    Raises ValueError for an answer that is not 200 or holds a record that was not written.
    """
    body = json.dumps({"records": [{"value": _RECORD}] * batch}, separators=(",", ":")).encode()
    proxy = psutil.Process(pid)
    used, began = sum(proxy.cpu_times()[:2]), time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        sent = [pool.submit(_post_until, began + seconds, url, body) for _ in range(clients)]
        records = batch * sum(requests.result() for requests in sent)
    elapsed, used = time.monotonic() - began, sum(proxy.cpu_times()[:2]) - used
    return Rate(records / elapsed, used / records * 1e6)


def _post_until(end: float, url: str, body: bytes) -> int:
    """Post the same body over one plain socket until that time; returns how often."""
    place, count = urlsplit(url), 0
    head = f"POST /topics/{TOPIC} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"Content-Type: application/vnd.kafka.json.v2+json\r\n\r\n" + body
    with socket.create_connection((place.hostname, place.port or 80), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rb") as answers:
            while time.monotonic() < end:
                connection.sendall(request)
                status = answers.readline()
                headers = b"".join(iter(answers.readline, b"\r\n"))
                length = re.search(rb"(?i)content-length: (\d+)", headers)
                answer = answers.read(int(length[1])) if length else b""
                if not status.startswith(b"HTTP/1.1 200") or b'"error_code":5' in answer:
                    raise ValueError((status + answer[:300]).decode(errors="replace"))
                count += 1
    return count
