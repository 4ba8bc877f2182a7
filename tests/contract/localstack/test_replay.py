"""What happens to the sink connector after S3 was lost: against Connect's REST calls, without LocalStack."""

from __future__ import annotations

from typing import Any

import pytest

from services.localstack import replay
from tests.servers.backends import Backend, FakeConnect, Seen


class NoBucket(replay.Bucket):
    def empty(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.localstack.replay.time.sleep", lambda seconds: None)


def run(url: str) -> None:
    replay.replay(replay.Connector(url, "sink"), NoBucket(None, "bucket", "topics/"), lambda message: None)


def test_a_fresh_connector_is_left_alone() -> None:
    connect = FakeConnect()
    connect.offsets = []
    run(connect.backend.url)
    assert {call.split()[0] for call in connect.backend.calls()} == {"GET"}


def test_a_connector_that_an_earlier_try_left_stopped_is_resumed() -> None:
    connect = FakeConnect()
    connect.offsets, connect.state = [], "STOPPED"
    run(connect.backend.url)
    assert connect.state == "RUNNING"


@pytest.mark.parametrize("status", [404, 409, 500])
def test_it_tries_until_connect_can(status: int) -> None:
    connect, refusals = FakeConnect(), [status] * 5

    def answer(seen: Seen) -> tuple[int, Any]:
        return (refusals.pop(), {"message": "not now"}) if refusals else connect.answer(seen)

    run(Backend(answer).url)
    assert (connect.state, connect.offsets) == ("RUNNING", [])
