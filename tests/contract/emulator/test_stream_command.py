"""`python -m emulator stream`: payloads, batches, keys, and both ways at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from emulator.__main__ import main
from tests.contract.emulator.command import Command
from tests.contract.emulator.database import geo, pin, user
from tests.contract.emulator.far_end import FarEnd, either, entries

UID = "0a1b2c3d4e5f"
TOPICS = [f"{UID}.{table}" for table in ("pin", "geo", "user")]
STREAMS = [f"streaming-{UID}-{table}" for table in ("pin", "geo", "user")]


@pytest.fixture
def command(far_end: FarEnd, tmp_path: Path) -> Command:
    return Command(tmp_path, far_end.url, name="stream")


def numbers(rows: list[Any]) -> list[int]:
    return [row.get("index", row.get("ind")) for row in rows]


def as_sent(row: dict[str, Any]) -> str:
    plain = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def test_a_post_is_three_records_in_three_streams_as_the_contract_says(command: Command, far_end: FarEnd) -> None:
    status, _ = command.summary("--count", "1", "--batch-size", "1")
    assert status == 0
    for stream, row in zip(STREAMS, (pin(7528), geo(7528), user(7528)), strict=True):
        (request,) = [request for request in far_end.received if f"/{stream}/" in request.path]
        assert (request.method, request.path) == ("PUT", f"/dev/streams/{stream}/record")
        assert request.headers["Content-Type"] == "application/json"
        body = f'{{"StreamName": "{stream}","Data":{as_sent(row)},"PartitionKey":"7528"}}'
        assert request.body.decode("utf-8") == body


def test_several_records_are_one_put_records(command: Command, far_end: FarEnd) -> None:
    command.summary("--count", "2")
    (request,) = [request for request in far_end.received if f"/{STREAMS[1]}/" in request.path]
    assert request.path == f"/dev/streams/{STREAMS[1]}/records"
    entries = [f'{{"data":{as_sent(geo(n))},"partition-key":"{n}"}}' for n in (7528, 2863)]
    assert request.body.decode("utf-8") == f'{{"records":[{",".join(entries)}]}}'


@pytest.mark.parametrize("size", ["1", "500"])
def test_a_partition_key_is_that_of_every_record(command: Command, far_end: FarEnd, size: str) -> None:
    command.summary("--count", "3", "--batch-size", size, "--partition-key", 'key "é"')
    bodies = [json.loads(request.body) for request in far_end.received]
    keys = {body["PartitionKey"] for body in bodies if "Data" in body}
    keys |= {record["partition-key"] for body in bodies for record in body.get("records", [])}
    assert keys == {'key "é"'}


def test_500_posts_are_1500_records_and_no_request_has_more_than_500(command: Command, far_end: FarEnd) -> None:
    status, summary = command.summary("--count", "1200", "--batch-size", "9999")
    assert (status, summary["posts"], summary["records"], summary["failures"]) == (0, 1200, 3600, 0)
    assert {stream: len(rows) for stream, rows in far_end.acknowledged.items()} == dict.fromkeys(STREAMS, 1200)
    assert max(len(json.loads(request.body)["records"]) for request in far_end.received) == 500


def test_both_ways_at_once_carry_the_same_posts(command: Command, far_end: FarEnd) -> None:
    status, summary = command.summary("--to", "batch,stream", "--count", "40")
    assert (status, summary["posts"], summary["records"]) == (0, 40, 240)
    for topic, stream in zip(TOPICS, STREAMS, strict=True):
        assert far_end.acknowledged[topic] == far_end.acknowledged[stream]


def test_at_a_pace_a_posts_records_go_both_ways_together(command: Command, far_end: FarEnd) -> None:
    command.summary("--to", "batch,stream", "--count", "3", "--rate", "2")
    moments: dict[int, list[float]] = {}
    for request in far_end.received:
        body = json.loads(request.body)
        (number,) = numbers([body["Data"]] if "Data" in body else [r["value"] for r in body["records"]])
        moments.setdefault(number, []).append(request.at)
    assert {len(times) for times in moments.values()} == {6}
    assert max(max(times) - min(times) for times in moments.values()) < 0.3


def test_one_way_in_trouble_does_not_keep_the_other_from_ending(command: Command, far_end: FarEnd) -> None:
    arrived: list[float] = []

    def topics_fail(handler: Any, request: Any) -> None:
        if "/topics/" in request.path:
            entries({0: 50003})(handler, request)
        else:
            arrived.append(request.at)
            either(handler, request)

    far_end.usual = topics_fail
    command.summary("--to", "batch,stream", "--count", "1", "--give-up-after", "3")
    assert len(arrived) == 3
    assert max(arrived) - far_end.received[0].at < 1
    assert far_end.received[-1].at - far_end.received[0].at > 2


@pytest.mark.parametrize(
    "options", [["--to", "kafka"], ["--to", ""], ["--partition-key", ""], ["--partition-key", "x" * 257]], ids=str
)
def test_a_wrong_option_is_a_usage_error(options: list[str]) -> None:
    result = CliRunner().invoke(main, ["stream", *options])
    assert result.exit_code == 2
    assert options[0] in result.output
