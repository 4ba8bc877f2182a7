"""Reading from an instance of the REST proxy's stand-in, with a consumer that needs no broker."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

from services.rest_proxy.consumers import Instance, read


class Live:
    """A consumer of a topic that is written to all the time: who waits gets a record, who does not gets none."""

    def __init__(self) -> None:
        self._offsets = itertools.count()

    def poll(self, timeout_ms: int, max_records: int) -> dict[str, list[Any]]:
        if not timeout_ms:
            return {}
        time.sleep(0.001)
        where: dict[str, Any] = {"topic": "t", "partition": 0, "key": None, "value": b"1"}
        return {"t": [SimpleNamespace(offset=next(self._offsets), **where)]}


def test_a_read_of_a_topic_that_is_written_to_all_the_time_ends_with_its_timeout() -> None:
    consumer: Any = Live()
    instance = Instance("me", "json", lambda: consumer, 200, 1_000_000, -1, 0.0, source="topics", joined=True)
    began = time.monotonic()
    given = read(instance, -1, 10_000)
    assert time.monotonic() - began < 5
    assert 1 < given.count(b'"offset"') < 10_000 - 1, "it was ended by max_bytes"
