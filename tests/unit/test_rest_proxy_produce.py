"""Producing through the REST proxy's stand-in to what is not there, without a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from services.rest_proxy.batches import Record
from services.rest_proxy.produce import Sending


def test_a_request_whose_client_is_gone_takes_a_thread_once_and_not_for_each_record() -> None:
    """500 records of a few hundred such requests kept a core busy for half a minute."""
    cluster: Any = SimpleNamespace(partitions=lambda topic: (), max_block=10.0, delivery_timeout=1.0)
    turns = 0

    async def run(work: Callable[[], None]) -> None:
        nonlocal turns
        turns += 1
        work()

    async def gone() -> bool:
        return True

    async def answer() -> bytes:
        return await Sending(cluster, "absent", [Record(None, b"1", None)] * 500).finish(run, gone)

    entries = json.loads(asyncio.run(answer()))["offsets"]
    assert [entry["error_code"] for entry in entries] == [50003] * 500
    assert turns < 5
