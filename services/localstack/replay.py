"""After LocalStack lost S3: let Kafka Connect's sink write again what Kafka still holds.

LocalStack's S3 lives in memory, the sink's offsets in Kafka: after a restart the bucket is empty, and the sink goes on
at the end. So its offsets are reset by Connect's own REST calls (KIP-875): stop, delete the offsets, resume. Every step
may be repeated: whatever dies in between, the next attempt starts at the first step and ends the same.

Needs foundation/connect.py and nothing else of the project: LocalStack runs this file inside itself.
"""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

connect = runpy.run_path(str(Path(__file__).resolve().parents[2] / "foundation" / "connect.py"))
Connector: Any = connect["Connector"]
ConnectError: type[OSError] = connect["ConnectError"]
"""Connect is away, busy (409 while it rebalances), or does not know the connector yet."""

LONGEST_PAUSE = 5.0
"""Seconds between two attempts while Connect is away or busy."""


def is_stopped(connector: Any) -> bool:
    """Whether a connector is in the state STOPPED, without tasks."""
    status = connector.call("GET", "/status")
    return status["connector"]["state"] == "STOPPED" and not status["tasks"]


def stop(connector: Any) -> None:
    """Stop a connector and wait, 30 s at most, until none of its tasks runs. Raises ConnectError."""
    connector.call("PUT", "/stop")
    for _ in range(60):
        if is_stopped(connector):
            return
        time.sleep(0.5)
    raise ConnectError(f"connector {connector.name} is not STOPPED after 30 s")


@dataclass(frozen=True)
class Bucket:
    """The sink's part of a bucket."""

    s3: Any
    name: str
    prefix: str

    def empty(self) -> None:
        """Delete what the sink wrote since LocalStack's start: it writes it again, in objects with other limits."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if keys:
                self.s3.delete_objects(Bucket=self.name, Delete={"Objects": keys, "Quiet": True})


def replay(connector: Any, bucket: Bucket, say: Callable[[str], None]) -> None:
    """Reset the connector as soon as Connect can do it; returns when that is done, however long Connect is away."""
    pause = 0.5
    while True:
        try:
            if connector.call("GET", "/offsets")["offsets"]:  # a new connector has none, and nothing to read again
                stop(connector)
                connector.call("DELETE", "/offsets")
            if is_stopped(connector):
                bucket.empty()
                connector.call("PUT", "/resume")
                say(f"S3 was lost in the restart: connector {connector.name} reads its topics from the beginning")
            return
        except ConnectError:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
