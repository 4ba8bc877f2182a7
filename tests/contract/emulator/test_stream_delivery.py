"""Every way in which Kinesis behind API Gateway fails, record by record and as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.stream import KinesisWire
from tests.contract.emulator.far_end import FarEnd, Reply, either, kinesis, kinesis_error, reset, status
from tests.contract.emulator.test_delivery import Client, numbers

STREAM = "streaming-0a1b2c3d4e5f-pin"


@pytest.fixture
def client(far_end: FarEnd, tmp_path: Path) -> Client:
    return Client(far_end, tmp_path, wire=KinesisWire(far_end.url))


def test_records_that_failed_are_sent_again_and_no_others(client: Client, far_end: FarEnd) -> None:
    far_end.replies.append(kinesis({0: "ProvisionedThroughputExceededException", 3: "InternalFailure"}))
    client.deliver(1, 2, 3, 4, 5, topic=STREAM)
    assert numbers(far_end.acknowledged[STREAM]) == [2, 3, 5, 1, 4]
    assert (client.totals.records, client.totals.retries, client.totals.failures) == (5, 1, 0)


def test_the_last_record_of_a_batch_goes_alone(client: Client, far_end: FarEnd) -> None:
    far_end.replies.append(kinesis({1: "InternalFailure"}))
    client.deliver(1, 2, topic=STREAM)
    assert [request.path.rpartition("/")[2] for request in far_end.received] == ["records", "record"]


@pytest.mark.parametrize(
    "trouble",
    [
        kinesis_error("ProvisionedThroughputExceededException"),
        kinesis_error("com.amazonaws.kinesis#LimitExceededException"),
        kinesis_error("KMSThrottlingException"),
        kinesis_error("InternalFailure", 500),
        status(429, '{"message": "Too Many Requests"}'),
        status(503),
        reset,
        status(403, '{"message": "Missing Authentication Token"}'),
        status(200, '{"FailedRecordCount": 0, "Records": []}'),
        status(200, "{}"),
    ],
    ids=["throughput", "limit", "KMS", "500", "429", "503", "reset", "not deployed yet", "too few entries", "none"],
)
@pytest.mark.parametrize("rows", [(7,), (7, 8)], ids=["one", "two"])
def test_a_request_that_failed_for_now_is_sent_again(
    client: Client, far_end: FarEnd, trouble: Reply, rows: tuple[int, ...]
) -> None:
    far_end.replies.append(trouble)
    client.deliver(*rows, topic=STREAM)
    assert numbers(far_end.acknowledged[STREAM]) == list(rows)
    assert (client.totals.retries, client.totals.failures) == (1, 0)


@pytest.mark.parametrize(
    "trouble",
    [kinesis_error("ResourceNotFoundException"), kinesis_error("AccessDeniedException"), status(415)],
    ids=["no such stream", "the API's role lacks a right", "415"],
)
def test_what_no_further_try_can_help_is_spilled_at_once(client: Client, far_end: FarEnd, trouble: Reply) -> None:
    far_end.usual = trouble
    client.deliver(1, 2, 3, topic=STREAM)
    assert client.spilled_numbers == [1, 2, 3]
    assert len(far_end.received) == 1


@pytest.mark.parametrize(
    "refusal",
    [kinesis_error("InvalidArgumentException"), kinesis_error("ValidationException"),
     status(400, '{"message": "Invalid request body"}'), status(413)],
    ids=["invalid argument", "validation", "API Gateway's model", "413"],
)  # fmt: skip
def test_a_record_that_is_refused_does_not_keep_its_batch_from_arriving(
    client: Client, far_end: FarEnd, refusal: Reply
) -> None:
    def refuse(handler: Any, request: Any) -> None:
        (refusal if b'"index":3}' in request.body else either)(handler, request)

    far_end.usual = refuse
    client.deliver(1, 2, 3, 4, 5, topic=STREAM)
    assert client.spilled_numbers == [3]
    assert sorted(numbers(far_end.acknowledged[STREAM])) == [1, 2, 4, 5]
