"""(a) records per second from MySQL until they are visible in S3; (b) seconds from a post to its objects."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pymysql
import requests

from bench import arrivals
from foundation.registry import TABLES
from tests.stack import TestStack

JSON = {"Content-Type": "application/vnd.kafka.json.v2+json"}


@dataclass(frozen=True)
class Throughput:
    """Seconds until ``records`` were sent, and until they were visible in S3."""

    records: int
    sent: float
    visible: float

    @property
    def rate(self) -> float:
        """Records per second until all are visible in S3."""
        return self.records / self.visible


class Objects(arrivals.Arrivals):
    """The records in S3 since this was made."""

    def __init__(self, stack: TestStack) -> None:
        self.s3, self.bucket = stack.client("s3"), stack.profile.storage.bucket
        self.prefixes = [f"topics/{topic}/" for topic in stack.profile.topics]
        self.seen: set[str] = set()
        self.seen = set(self._new_keys())

    def look(self) -> list[int]:
        found: list[int] = []
        for key in self._new_keys():
            self.seen.add(key)
            for line in self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].iter_lines():
                record = json.loads(line)
                found.append(record.get("index", record.get("ind")))
        return found

    def _new_keys(self) -> list[str]:
        paginator = self.s3.get_paginator("list_objects_v2")
        pages = (page for prefix in self.prefixes for page in paginator.paginate(Bucket=self.bucket, Prefix=prefix))
        keys = (item["Key"] for page in pages for item in page.get("Contents", []))
        return [key for key in keys if key not in self.seen]


def all_posts(stack: TestStack) -> Throughput:
    """Every post of the source once, by `make emulate-batch` at full speed."""
    objects, began = Objects(stack), time.monotonic()
    summary = stack.emulate("--order", "sequential", "--count", "11154", "--rate", "max")
    sent = time.monotonic() - began
    objects.wait(summary["records"])
    return Throughput(summary["records"], sent, time.monotonic() - began)


def one_by_one(stack: TestStack, posts: int = 300) -> Throughput:
    """The well-known script without its sleeps: a query, a connection and a request for each record."""
    objects, began = Objects(stack), time.monotonic()
    with stack.connect() as connection:
        for post in range(posts):
            for topic, table in zip(stack.profile.topics, TABLES.values(), strict=True):
                with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                    cursor.execute(f"select * from {table.source} limit {post}, 1")
                    _post(requests, stack, topic, cursor.fetchone())
    sent = time.monotonic() - began
    objects.wait(3 * posts)
    return Throughput(3 * posts, sent, time.monotonic() - began)


def lag(stack: TestStack) -> tuple[float, float]:
    """Seconds from a post's request to its record being visible in S3, at 10 posts per second: p50, p95."""
    session = requests.Session()

    def post(numbers: range) -> None:
        for number in numbers:
            for topic, table in zip(stack.profile.topics, TABLES.values(), strict=True):
                _post(session, stack, topic, {table.key: number})

    return arrivals.lag(Objects(stack), post, rate=10, seconds=30)


def _post(client: Any, stack: TestStack, topic: str, record: object) -> None:
    body = json.dumps({"records": [{"value": record}]}, default=str)
    url = f"{stack.profile.api.invoke_url}/topics/{topic}"
    client.post(url, data=body, headers=JSON, timeout=30).raise_for_status()
