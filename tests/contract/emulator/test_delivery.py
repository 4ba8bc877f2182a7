"""Every way in which the far end fails: nothing is lost, nothing is counted that was not acknowledged."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator.batch import KafkaRestWire
from emulator.delivery import Delivery, Limits, Wire
from emulator.spill import Spill, SpillError
from emulator.totals import Totals
from tests.contract.emulator.far_end import FarEnd, Reply, entries, error, refuse_when, reset, slow, status

TOPIC = "0a1b2c3d4e5f.pin"


class Client:
    """A delivery to the far end, with what it did."""

    def __init__(
        self,
        far_end: FarEnd,
        directory: Path,
        give_up_after: float = 5.0,
        timeout: float = 2.0,
        wire: Wire | None = None,
    ) -> None:
        self.totals = Totals()
        self.spill = Spill(directory / "spill")
        self.said: list[str] = []
        self.settled: list[bytes] = []
        limits = Limits(give_up_after=give_up_after, timeout=timeout)
        self._delivery = Delivery(wire or KafkaRestWire(far_end.url), self.totals, self.spill, limits, self.said.append)

    def deliver(self, *numbers: int, topic: str = TOPIC) -> None:
        self._delivery.deliver(topic, [b'{"index":%d}' % number for number in numbers], self.settled.extend)

    @property
    def spilled(self) -> list[dict[str, Any]]:
        if self.spill.path is None:
            return []
        return [json.loads(line) for line in self.spill.path.read_text(encoding="utf-8").splitlines()]

    @property
    def spilled_numbers(self) -> list[int]:
        return [line["record"]["index"] for line in self.spilled]


def numbers(values: list[Any]) -> list[int]:
    return [value["index"] for value in values]


@pytest.fixture
def client(far_end: FarEnd, tmp_path: Path) -> Client:
    return Client(far_end, tmp_path)


@pytest.mark.parametrize(
    "trouble",
    [
        status(429, '{"message": "Too Many Requests"}'),
        status(500, '{"message": "Internal server error"}'),
        status(502),
        status(503),
        status(504, '{"message": "Endpoint request timed out"}'),
        error(500, 50001),
        reset,
        status(200, "<html>not the proxy</html>"),
        status(200, "[]"),
        status(200, '{"offsets": [{"partition": 0, "offset": 0, "error_code": null, "error": null}]}'),
        status(200, '{"offsets": [null, null, null]}'),
        status(404, '{"message": "The API id \'pinflow\' does not correspond to a deployed API Gateway API"}'),
        status(403, '{"message": "Missing Authentication Token"}'),
    ],
    ids=[
        "429", "500", "502", "503", "504", "proxy's 50001", "connection reset", "200 with garbage", "200 with a list",
        "200 with fewer offsets than records", "200 with no entries", "API not deployed yet", "stage not there yet",
    ],
)  # fmt: skip
def test_a_transient_failure_is_retried_until_every_record_is_acknowledged(
    client: Client, far_end: FarEnd, trouble: Reply
) -> None:
    far_end.replies.extend([trouble, trouble])
    client.deliver(1, 2, 3)
    assert numbers(far_end.acknowledged[TOPIC]) == [1, 2, 3]
    assert (client.totals.requests, client.totals.retries, client.totals.records) == (3, 2, 3)
    assert client.spill.path is None


def test_what_nobody_takes_in_time_is_spilled_with_the_reason(tmp_path: Path) -> None:
    gone = FarEnd()
    gone.close()
    client = Client(gone, tmp_path, give_up_after=0.5)
    client.deliver(1)
    assert client.totals.retries >= 1
    assert client.spilled_numbers == [1]
    assert "Connection refused" in client.spilled[0]["reason"]


def test_a_service_that_restarts_is_waited_for(tmp_path: Path) -> None:
    port = urlsplit((gone := FarEnd()).url).port
    gone.close()
    client = Client(gone, tmp_path)
    back: list[FarEnd] = []
    timer = threading.Timer(0.6, lambda: back.append(FarEnd(port=port or 0)))
    timer.start()
    client.deliver(1)
    timer.join()
    back[0].close()
    assert numbers(back[0].acknowledged[TOPIC]) == [1]
    assert client.spill.path is None


def test_after_an_answer_that_came_too_late_the_records_are_sent_again_and_may_be_there_twice(
    far_end: FarEnd, tmp_path: Path
) -> None:
    client = Client(far_end, tmp_path, timeout=0.3)
    far_end.replies.append(slow(0.8))
    client.deliver(1, 2)
    deadline = time.monotonic() + 5
    while len(far_end.acknowledged[TOPIC]) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted(numbers(far_end.acknowledged[TOPIC])) == [1, 1, 2, 2]
    assert client.totals.records == 2


def test_only_the_failed_records_of_a_request_are_sent_again(client: Client, far_end: FarEnd) -> None:
    far_end.replies.append(entries({1: 50003}))
    client.deliver(1, 2, 3)
    assert [numbers(request.values) for request in far_end.received] == [[1, 2, 3], [2]]
    assert client.totals.records == 3


def test_a_record_that_kafka_refuses_is_spilled_and_its_neighbours_are_not(client: Client, far_end: FarEnd) -> None:
    far_end.replies.append(entries({0: 50002, 2: 50003}))
    client.deliver(1, 2, 3)
    assert numbers(far_end.acknowledged[TOPIC]) == [2, 3]
    assert client.spilled_numbers == [1]
    assert client.spilled[0]["topic"] == TOPIC
    assert "50002" in client.spilled[0]["reason"]
    assert datetime.fromisoformat(client.spilled[0]["time"]).tzinfo is not None


@pytest.mark.parametrize(
    ("code", "error_code"),
    [(413, None), (413, 41301), (400, 40002), (422, 42206), (500, 50002)],
    ids=["gateway's 413", "proxy's 413", "400", "422", "50002 for the whole request"],
)
def test_a_request_refused_as_a_whole_is_split_until_the_record_to_blame_is_alone(
    client: Client, far_end: FarEnd, code: int, error_code: int | None
) -> None:
    far_end.usual = refuse_when(lambda value: value["index"] == 5, code, error_code)
    client.deliver(*range(8))
    assert numbers(far_end.acknowledged[TOPIC]) == [0, 1, 2, 3, 4, 6, 7]
    assert client.spilled_numbers == [5]
    assert f"HTTP {code}" in client.spilled[0]["reason"]
    assert (client.totals.records, client.totals.failures) == (7, 1)


@pytest.mark.parametrize(
    ("code", "error_code"), [(404, 40403), (415, 415), (401, 40101)], ids=["no topic", "415", "401"]
)
def test_a_refusal_by_the_proxy_is_spilled_at_once_with_its_message(
    client: Client, far_end: FarEnd, code: int, error_code: int
) -> None:
    far_end.replies.append(error(code, error_code, "Topic not found."))
    client.deliver(1, 2)
    assert len(far_end.received) == 1
    assert client.spilled_numbers == [1, 2]
    assert "Topic not found." in client.spilled[0]["reason"]


def test_a_redirect_is_not_followed_and_says_where_to(client: Client, far_end: FarEnd) -> None:
    far_end.replies.append(status(307, headers={"Location": "http://127.0.0.1:1/elsewhere"}))
    client.deliver(1)
    assert len(far_end.received) == 1
    assert "http://127.0.0.1:1/elsewhere" in client.spilled[0]["reason"]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_respected(client: Client, far_end: FarEnd, form: str) -> None:
    # An HTTP date has whole seconds, so 2 s from now may be but a little over 1 s away.
    after = "1" if form == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    far_end.replies.append(status(429, headers={"Retry-After": after}))
    client.deliver(1)
    first, second = (request.at for request in far_end.received)
    assert 0.95 <= second - first < 30


def test_a_retry_after_beyond_the_budget_does_not_hold_the_run(far_end: FarEnd, tmp_path: Path) -> None:
    client = Client(far_end, tmp_path, give_up_after=0.4)
    far_end.usual = status(503, headers={"Retry-After": "3600"})
    began = time.monotonic()
    client.deliver(1)
    assert time.monotonic() - began < 60
    assert client.spilled_numbers == [1]


def test_after_giving_up_the_next_group_gets_one_try_until_something_goes_through(
    far_end: FarEnd, tmp_path: Path
) -> None:
    client = Client(far_end, tmp_path, give_up_after=0.5)
    far_end.usual = status(503)
    client.deliver(1)
    tries = len(far_end.received)
    client.deliver(2)
    assert len(far_end.received) == tries + 1
    far_end.replies.extend([entries({}), status(503), entries({})])
    client.deliver(3)
    client.deliver(4)  # fails once and is tried again: the far end is trusted again
    assert numbers(far_end.acknowledged[TOPIC]) == [3, 4]
    assert client.spilled_numbers == [1, 2]


def test_a_missing_topic_does_not_harm_the_others(client: Client, far_end: FarEnd) -> None:
    far_end.replies.append(error(404, 40403))
    client.deliver(1, topic="0a1b2c3d4e5f.geo")
    client.deliver(2, topic=TOPIC)
    assert [line["topic"] for line in client.spilled] == ["0a1b2c3d4e5f.geo"]
    assert numbers(far_end.acknowledged[TOPIC]) == [2]


def test_trouble_and_its_end_are_said_once(client: Client, far_end: FarEnd) -> None:
    far_end.replies.extend([status(503, "busy")] * 3)
    client.deliver(1)
    client.deliver(2)
    assert [("503" in text, "are delivered again" in text) for text in client.said] == [(True, False), (False, True)]


def test_every_record_is_settled_once_whatever_becomes_of_it(client: Client, far_end: FarEnd) -> None:
    far_end.replies.extend([entries({0: 50002, 1: 50003}), error(400, 40002), error(404, 40403)])
    client.deliver(1, 2, 3)
    assert sorted(client.settled) == [b'{"index":1}', b'{"index":2}', b'{"index":3}']


def test_a_full_disk_under_the_spill_file_stops_the_run(far_end: FarEnd, tmp_path: Path) -> None:
    (tmp_path / "spill").write_text("a file where the directory should be")
    client = Client(far_end, tmp_path)
    far_end.replies.append(error(404, 40403))
    with pytest.raises(SpillError, match=TOPIC):
        client.deliver(1)
