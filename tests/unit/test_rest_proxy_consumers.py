"""Reading from an instance of the REST proxy's stand-in, with a consumer that needs no broker."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest

from services.rest_proxy.errors import RestError
from services.rest_proxy.instances import Instance


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
    instance = Instance("me", "json", lambda: consumer, 200, 1_000_000, source="topics", joined=True)
    began = time.monotonic()
    given = instance.read(-1, 10_000)
    assert time.monotonic() - began < 30
    assert 1 < given.count(b'"offset"') < 10_000 - 1, "it was ended by max_bytes"


class Holding:
    """A consumer of a topic that holds one record."""

    def __init__(self, value: bytes) -> None:
        self._records = [SimpleNamespace(topic="t", partition=0, key=None, value=value, offset=0)]

    def poll(self, timeout_ms: int, max_records: int) -> dict[str, list[Any]]:
        given, self._records = self._records, []
        return {"t": given}


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (b"[" * 1000 + b"]" * 1000, True),
        (b"[" * 1001 + b"]" * 1001, False),
        (b'["\\ud800",' + b"[" * 4000 + b"]" * 4000 + b"]", False),
        (b"9" * 1001, False),
        (b'{"' + b"k" * 50_001 + b'":1}', False),
    ],
    ids=["1000 deep", "1001 deep", "half a character and 4000 deep", "1001 digits", "a name of 50001"],
)
def test_what_jackson_does_not_read_stops_an_instance(value: bytes, fits: bool) -> None:
    consumer: Any = Holding(value)
    instance = Instance("me", "json", lambda: consumer, 1, 1_000_000, source="topics", joined=True)
    if fits:
        assert value in instance.read(-1, -1)
        return
    for _ in range(2):
        with pytest.raises(RestError) as raised:
            instance.read(-1, -1)
        assert (raised.value.status, raised.value.code) == (408, 40801)
