"""(a) records per second from MySQL until they are visible in S3; (b) lag from post to object."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import pymysql
import requests

from foundation.registry import TABLES
from tests.stack import TestStack

JSON = {"Content-Type": "application/vnd.kafka.json.v2+json"}


@dataclass(frozen=True)
class Throughput:
    """How long ``records`` took to be sent and to be visible in S3, in seconds."""

    records: int
    sent: float
    visible: float

    @property
    def rate(self) -> float:
        """Records per second until all are visible in S3."""
        return self.records / self.visible


class Visible:
    """What lies in S3: counts only objects that it has not seen before, so that looking costs little."""

    def __init__(self, stack: TestStack) -> None:
        self.s3 = stack.client("s3")
        self.bucket = stack.profile.storage.bucket
        self.topics = stack.profile.topics
        self.seen: set[str] = set()
        self.records = 0

    def new_lines(self) -> list[bytes]:
        """The lines of all objects that came since the last call."""
        lines: list[bytes] = []
        for topic in self.topics:
            for page in self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"topics/{topic}/"
            ):
                for key in (item["Key"] for item in page.get("Contents", []) if item["Key"] not in self.seen):
                    self.seen.add(key)
                    lines += self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().splitlines()
        self.records += len(lines)
        return lines

    def wait(self, records: int, timeout: float = 300) -> None:
        """Until that many records have come; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while self.records < records:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.records} of {records} records in S3 after {timeout:.0f} s")
            self.new_lines()
            time.sleep(0.05)


def all_posts(stack: TestStack) -> Throughput:
    """Every post of the source once, by `make emulate-batch` at full speed."""
    visible = Visible(stack)
    visible.new_lines()
    began, before = time.monotonic(), visible.records
    summary = stack.emulate("--order", "sequential", "--count", "11154", "--rate", "max")
    sent = time.monotonic() - began
    visible.wait(before + summary["records"])
    return Throughput(summary["records"], sent, time.monotonic() - began)


def one_by_one(stack: TestStack, posts: int = 300) -> Throughput:
    """The well-known script's way without its sleeps: a query and a request a record, a connection each."""
    visible = Visible(stack)
    visible.new_lines()
    began, before = time.monotonic(), visible.records
    with stack.connect() as connection:
        for post in range(posts):
            for topic, table in zip(stack.profile.topics, TABLES.values(), strict=True):
                with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                    cursor.execute(f"select * from {table.source} limit {post}, 1")
                    row = cursor.fetchone()
                body = json.dumps({"records": [{"value": row}]}, default=str)
                answer = requests.request(
                    "POST", f"{stack.profile.api.invoke_url}/topics/{topic}", headers=JSON, data=body, timeout=30
                )
                answer.raise_for_status()
    sent = time.monotonic() - began
    visible.wait(before + 3 * posts)
    return Throughput(3 * posts, sent, time.monotonic() - began)


def lag(stack: TestStack, rate: float = 10, posts: int = 300) -> tuple[float, float]:
    """Seconds from a post's request to its record being visible in S3, at ``rate`` posts per second: p50, p95."""
    visible = Visible(stack)
    visible.new_lines()
    session = requests.Session()
    sent: dict[int, float] = {}
    lags: list[float] = []
    first_key = 5_000_000

    def look(until: Callable[[], bool]) -> None:
        while True:
            now = time.monotonic()
            for line in visible.new_lines():
                record = json.loads(line)
                post = record.get("index", record.get("ind"))
                if post in sent:
                    lags.append(now - sent[post])
            if until():
                return
            time.sleep(0.02)

    began = time.monotonic()
    for number in range(posts):
        due = began + number / rate
        look(lambda due=due: time.monotonic() >= due)  # type: ignore[misc]
        post = first_key + number
        sent[post] = time.monotonic()
        for topic, table in zip(stack.profile.topics, TABLES.values(), strict=True):
            body = {"records": [{"value": {table.key: post}}]}
            session.post(
                f"{stack.profile.api.invoke_url}/topics/{topic}", json=body, headers=JSON, timeout=30
            ).raise_for_status()
    deadline = time.monotonic() + 60
    look(lambda: len(lags) >= 3 * posts or time.monotonic() > deadline)
    if len(lags) < 3 * posts:
        raise TimeoutError(f"only {len(lags)} of {3 * posts} records came into S3")
    cuts = statistics.quantiles(lags, n=100)
    return cuts[49], cuts[94]
