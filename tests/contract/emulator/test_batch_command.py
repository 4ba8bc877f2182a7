"""`python -m emulator batch`: payloads, totals, exit status, Ctrl-C."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from click.testing import CliRunner

from emulator.__main__ import main
from emulator.batch import KafkaRestWire
from emulator.delivery import Verdict
from tests.contract.emulator.command import Command
from tests.contract.emulator.database import geo, pin, user
from tests.contract.emulator.far_end import FarEnd, Reply, entries, error, reset, slow, status, topic_is_there
from tests.servers.waiting import wait_for

UID = "0a1b2c3d4e5f"
TOPICS = [f"{UID}.pin", f"{UID}.geo", f"{UID}.user"]


@pytest.fixture
def command(far_end: FarEnd, tmp_path: Path) -> Command:
    return Command(tmp_path, far_end.url)


def as_sent(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


def test_a_post_is_three_records_on_three_topics_as_the_contract_says(command: Command, far_end: FarEnd) -> None:
    command.summary("--count", "1")
    for topic, row in zip(TOPICS, (pin(7528), geo(7528), user(7528)), strict=True):
        (request,) = [request for request in far_end.received if request.topic == topic]
        assert (request.method, request.path) == ("POST", f"/dev/topics/{topic}")
        assert request.headers["Content-Type"] == "application/vnd.kafka.json.v2+json"
        assert request.headers["Accept"] == "*/*"
        body = json.dumps({"records": [{"value": as_sent(row)}]}, ensure_ascii=False, separators=(",", ":"))
        assert request.body.decode("utf-8") == body


def test_500_posts_are_1500_records_of_494_rows(command: Command, far_end: FarEnd) -> None:
    status, summary = command.summary()
    assert status == 0
    assert (summary["posts"], summary["different_posts"], summary["records"]) == (500, 494, 1500)
    assert (summary["failures"], summary["retries"], summary["spill_file"]) == (0, 0, None)
    assert summary["requests"] == len(far_end.received)
    assert {topic: len(values) for topic, values in far_end.acknowledged.items()} == dict.fromkeys(TOPICS, 500)
    assert summary["bytes"] == sum(
        len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        for values in far_end.acknowledged.values()
        for value in values
    )
    assert 0 < summary["latency_p50_ms"] <= summary["latency_p95_ms"]
    assert summary["next_start"] == 500


def test_sequential_order_posts_every_row_once_and_ends(far_end: FarEnd, tmp_path: Path) -> None:
    status, summary = Command(tmp_path, far_end.url, rows=700).summary("--order", "sequential", "--count", "0")
    assert (status, summary["posts"]) == (0, 700)
    assert [value["index"] for value in far_end.acknowledged[TOPICS[0]]] == list(range(700))


def test_a_rate_is_kept_without_drift(command: Command) -> None:
    _, summary = command.summary("--count", "200", "--rate", "100")
    assert summary["seconds"] == pytest.approx(2.0, abs=0.35)


def test_at_a_slow_pace_a_post_does_not_wait_for_company(command: Command, far_end: FarEnd) -> None:
    process = command.start("--count", "3", "--rate", "0.5")
    wait_for("3 requests", lambda: len(far_end.received) >= 3, every=0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert [len(request.values) for request in far_end.received[:3]] == [1, 1, 1]


def test_failures_are_spilled_counted_and_the_exit_status_is_1(command: Command, far_end: FarEnd) -> None:
    far_end.usual = lambda handler, request: (
        error(404, 40403, "Topic not found.") if request.topic == TOPICS[1] else entries({})
    )(handler, request)
    code, summary = command.summary("--count", "20")
    assert code == 1
    assert (summary["records"], summary["failures"]) == (40, 20)
    path = Path(summary["spill_file"])
    assert path.parent == command.directory / "state" / "spill"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {line["topic"] for line in lines} == {TOPICS[1]}
    assert lines[0]["record"] == as_sent(geo(7528))


def test_each_topic_is_looked_at_once_before_the_first_batch(command: Command, far_end: FarEnd) -> None:
    command.summary("--count", "50", "--batch-size", "10")
    assert sorted(request.path for request in far_end.looked_at) == sorted(f"/dev/topics/{topic}" for topic in TOPICS)
    assert {request.headers["Content-Type"] for request in far_end.looked_at} == {"application/vnd.kafka.v2+json"}
    assert max(request.at for request in far_end.looked_at) < min(request.at for request in far_end.received)


@pytest.mark.parametrize(("code", "error_code"), [(404, 40401), (404, 40403), (400, 40002)])
def test_no_batch_is_sent_where_a_topic_is_absent(
    command: Command, far_end: FarEnd, code: int, error_code: int
) -> None:
    far_end.lookup = lambda handler, request: (
        error(code, error_code) if request.topic == TOPICS[1] else topic_is_there
    )(handler, request)
    exit_code, _, errors = command.run()
    assert exit_code == 1
    assert f"Kafka has no topic {TOPICS[1]}; nothing was posted\n  → `make up` makes them" in errors
    assert far_end.received == []
    assert not (command.directory / "state" / "spill").exists()


@pytest.mark.parametrize(
    "answer",
    [status(503), status(403, '{"message": "Forbidden"}'), status(404, '{"message": "Not Found"}'), error(500, 50003),
     status(302, "", {"Location": "/elsewhere"}), status(200, "<html>"), reset],
    ids=["503", "key", "stage", "no broker", "redirect", "page", "reset"],
)  # fmt: skip
def test_a_topic_that_cannot_be_looked_at_counts_as_there(command: Command, far_end: FarEnd, answer: Reply) -> None:
    far_end.lookup = answer
    code, summary = command.summary("--count", "5")
    assert (code, summary["records"], len(far_end.looked_at)) == (0, 15, 3)


def test_the_way_to_kinesis_looks_at_no_topic(far_end: FarEnd, tmp_path: Path) -> None:
    far_end.lookup = error(404, 40401)
    code, summary = Command(tmp_path, far_end.url, name="stream").summary("--count", "5")
    assert (code, summary["records"], far_end.looked_at) == (0, 15, [])


def test_without_a_stack_the_spill_file_lies_in_the_current_directory(command: Command, far_end: FarEnd) -> None:
    profile = yaml.safe_load(command.profile.read_text(encoding="utf-8")) | {"stack": None}
    command.profile.write_text(yaml.safe_dump(profile), encoding="utf-8")
    far_end.usual = error(404, 40403)
    code, summary = command.summary("--count", "1")
    assert (code, Path(summary["spill_file"]).parent) == (1, command.directory / "spill")


def test_a_service_that_fails_in_the_middle_costs_no_record(command: Command, far_end: FarEnd) -> None:
    far_end.replies.extend([entries({}), status(503), status(503), entries({0: 50003}), status(502)])
    code, summary = command.summary("--count", "300", "--batch-size", "50")
    assert (code, summary["records"], summary["failures"]) == (0, 900, 0)
    assert summary["retries"] >= 4
    assert {topic: len(values) for topic, values in far_end.acknowledged.items()} == dict.fromkeys(TOPICS, 300)


def test_the_totals_are_written_for_people(command: Command) -> None:
    status, output, errors = command.run("--count", "10", "--quiet")
    assert (status, errors) == (0, "")
    assert "10 posts (10 different), 30 records delivered" in output
    assert "0 retries, 0 failures, latency p50" in output


def test_ctrl_c_finishes_what_is_in_hand_and_prints_the_totals(command: Command, far_end: FarEnd) -> None:
    process = command.start("--count", "0", "--rate", "50", "--json")
    wait_for("6 requests", lambda: len(far_end.received) >= 6, every=0.02)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    summary = json.loads(output)
    assert process.returncode == 130, errors
    assert summary["interrupted"] is True
    assert summary["records"] == 3 * summary["posts"]
    assert {len(values) for values in far_end.acknowledged.values()} == {summary["posts"]}


def test_a_second_ctrl_c_ends_at_once_and_spills_what_was_in_hand(command: Command, far_end: FarEnd) -> None:
    far_end.usual = slow(30)
    process = command.start("--count", "4", "--json")
    wait_for("3 requests", lambda: len(far_end.received) >= 3, every=0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    summary = json.loads(output)
    assert time.monotonic() - began < 20
    assert (process.returncode, summary["records"], summary["failures"]) == (130, 0, 12)
    assert len(Path(summary["spill_file"]).read_text(encoding="utf-8").splitlines()) == 12


def test_a_surprise_ends_the_run_and_spills_what_it_left_in_hand(
    command: Command, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = KafkaRestWire.judge

    def surprised(wire: KafkaRestWire, answer: requests.Response, count: int) -> list[Verdict]:
        if answer.url.endswith(TOPICS[1]):
            raise LookupError("what is this")
        return judge(wire, answer, count)

    monkeypatch.setattr(KafkaRestWire, "judge", surprised)
    arguments = ["batch", "--profile", str(command.profile), "--json", "--quiet", "--count", "20", "--batch-size", "4"]
    result = CliRunner().invoke(main, arguments)
    summary = json.loads(result.stdout)
    assert (result.exit_code, "LookupError" in result.stderr, "what is this" in result.stderr) == (1, True, True)
    assert summary["records"] + summary["failures"] == 3 * summary["posts"]
    lines = [json.loads(line) for line in Path(summary["spill_file"]).read_text(encoding="utf-8").splitlines()]
    assert len(lines) == summary["failures"] > 0
    assert TOPICS[1] in {line["topic"] for line in lines}
    assert all("what is this" in line["reason"] for line in lines)


def test_a_database_error_is_said_without_a_traceback(command: Command) -> None:
    profile = yaml.safe_load(command.profile.read_text(encoding="utf-8"))
    profile["database"]["url"] = "mysql+pymysql://pinflow@127.0.0.1:1/pinterest_data"
    command.profile.write_text(yaml.safe_dump(profile), encoding="utf-8")
    status, output, errors = command.run()
    assert (status, output) == (1, "")
    assert "no connection" in errors
    assert "make up" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "options",
    [["--rate", "0"], ["--rate", "fast"], ["--rows", "9"], ["--rows", "9:3"], ["--count", "-1"], ["--batch-size", "0"]],
    ids=" ".join,
)
def test_a_wrong_option_is_a_usage_error(options: list[str]) -> None:
    result = CliRunner().invoke(main, ["batch", *options])
    assert result.exit_code == 2
    assert options[0] in result.output
