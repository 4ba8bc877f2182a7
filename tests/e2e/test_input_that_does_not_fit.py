"""What does not fit is quarantined, a dead letter or spilled, with its reason; the rest goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from sqlalchemy import create_engine, text

from tests.servers.waiting import wait_for
from tests.stack import Row, TestStack

JSON = {"Content-Type": "application/vnd.kafka.json.v2+json"}
FROM = "__connect.errors."
OF = ("topic", "partition", "offset")


def good_pin(index: int) -> dict[str, Any]:
    return {
        "index": index,
        "unique_id": f"bad-input-{index}",
        "title": "A title",
        "description": "d",
        "poster_name": "p",
        "follower_count": "12k",
        "tag_list": "a,b",
        "is_image_or_video": "image",
        "image_src": "https://example.org/a.jpg",
        "downloaded": 1,
        "save_location": "Local save in /data/art",
        "category": "art",
    }


def send(stack: TestStack, topic: str, *values: Any) -> None:
    """Post values through API Gateway as a person's own script would."""
    url = f"{stack.profile.api.invoke_url}/topics/{topic}"
    answer = requests.post(url, json={"records": [{"value": v} for v in values]}, headers=JSON, timeout=30)
    assert answer.status_code == 200, answer.text
    assert all(entry["error_code"] is None for entry in answer.json()["offsets"])


@pytest.fixture(scope="module")
def spoiled(stack: TestStack) -> TestStack:
    """Bad records of each kind among good ones, all of it through S3 and the batch."""
    pin, geo, user = stack.profile.topics
    missing = {k: v for k, v in good_pin(900_001).items() if k != "title"}
    number = good_pin(900_002) | {"title": 17}
    of_user = {"ind": 900_003, "first_name": "A", "last_name": "B", "age": 30, "date_joined": "2016-01-01T00:00:00"}
    send(stack, pin, good_pin(900_000), missing, number, of_user, [1, 2], "text", good_pin(900_009))
    send(stack, geo, {"ind": 900_004, "timestamp": "yesterday", "latitude": 1.0, "longitude": 2.0, "country": "Peru"})
    send(stack, user, of_user | {"age": 151})
    producer = KafkaProducer(bootstrap_servers=stack.profile.kafka.bootstrap_servers)
    producer.send(pin, b"this is not JSON")
    broken = json.dumps(good_pin(900_005)).encode().replace(b"A title", b"A \xff title")
    producer.send(pin, broken)
    producer.send(pin, json.dumps(good_pin(900_010)).encode())
    producer.flush()
    producer.close()
    wait_for("the last good record in S3", lambda: b"bad-input-900010" in b"".join(lines(stack, pin)))
    stack.pinflow("batch")
    return stack


def lines(stack: TestStack, topic: str) -> list[bytes]:
    return [line for body in stack.objects(topic).values() for line in body]


def quarantine(stack: TestStack) -> list[Row]:
    return stack.table("quarantine")


def dead_letters(stack: TestStack) -> list[Any]:
    """The dead letters, read with the plain client, each once: the sink repeats the last ones after each restart."""
    topic = f"dlq-{stack.profile.uid}"
    consumer = KafkaConsumer(bootstrap_servers=stack.profile.kafka.bootstrap_servers)
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    found = [record for records in consumer.poll(timeout_ms=10_000).values() for record in records]
    consumer.close()
    return list({tuple(dict(r.headers)[f"{FROM}{of}"] for of in OF): r for r in found}.values())


def records_in_kafka(stack: TestStack, topic: str) -> int:
    consumer = KafkaConsumer(bootstrap_servers=stack.profile.kafka.bootstrap_servers)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    found = sum(consumer.end_offsets(partitions).values()) - sum(consumer.beginning_offsets(partitions).values())
    consumer.close()
    return int(found)


def test_the_good_records_among_them_are_in_the_table(spoiled: TestStack) -> None:
    posts = {row[0] for row in spoiled.table("pin") if row[0] >= 900_000}
    assert posts == {900_000, 900_009, 900_010}


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        ("bad-input-900001", "title"),
        ("bad-input-900002", "title"),
        ('"first_name"', "index"),
        ("[1,2]", "object"),
        ("yesterday", "timestamp"),
        ("151", "age"),
    ],
)
def test_what_does_not_fit_is_in_the_quarantine_with_its_reason(spoiled: TestStack, marker: str, reason: str) -> None:
    found = [row for row in quarantine(spoiled) if marker in str(row).replace(" ", "")]
    assert found, f"nothing with {marker} in {quarantine(spoiled)}"
    assert any(reason in str(row) for row in found)
    assert any(".json" in str(row) for row in found), "its object is named"


def test_what_is_not_json_is_in_the_dead_letter_topic_with_its_reason(spoiled: TestStack) -> None:
    found = [record for record in dead_letters(spoiled) if record.value == b"this is not JSON"]
    assert len(found) == 1
    headers = dict(found[0].headers)
    assert headers["__connect.errors.topic"] == spoiled.profile.topics[0].encode()
    assert headers["__connect.errors.exception.message"]


def test_broken_utf8_is_set_aside(spoiled: TestStack) -> None:
    dead = [record for record in dead_letters(spoiled) if b"bad-input-900005" in (record.value or b"")]
    quarantined = [row for row in quarantine(spoiled) if "900005" in str(row)]
    assert dead or quarantined
    assert 900_005 not in {row[0] for row in spoiled.table("pin")}


@dataclass
class Second:
    """What the second batch on the same driver said, and which rows of the quarantine are its own."""

    stderr: str
    quarantined: list[Row]


@pytest.fixture(scope="module")
def second(spoiled: TestStack) -> Second:
    """More that does not fit, after a batch, as the last records of their topics, and another batch."""
    before = {str(row) for row in quarantine(spoiled)}
    letters = len(dead_letters(spoiled))
    send(spoiled, spoiled.profile.topics[1], {"ind": 900_006, "country": "Peru"})
    producer = KafkaProducer(bootstrap_servers=spoiled.profile.kafka.bootstrap_servers)
    for value in (None, b"{the last"):
        producer.send(spoiled.profile.topics[2], value, key=b"k")
    producer.flush()
    producer.close()
    wait_for("both are dead letters", lambda: len(dead_letters(spoiled)) == letters + 2)
    done = spoiled.pinflow("batch")
    return Second(done.stderr, [row for row in quarantine(spoiled) if str(row) not in before])


def test_a_bad_record_after_a_batch_reaches_the_quarantine_too(second: Second) -> None:
    """The driver lives on between the runs, and with it whatever the first one kept."""
    assert [row[5] for row in second.quarantined] == ['{"ind":900006,"country":"Peru"}']


def test_a_batch_ends_well_where_a_null_and_a_bad_record_are_the_last_of_a_topic(second: Second) -> None:
    assert "Traceback" not in second.stderr


@pytest.mark.usefixtures("second")
def test_status_has_every_record_of_each_topic(spoiled: TestStack) -> None:
    """By the numbers of those who read the topics, the objects and the tables with clients of their own."""
    done = spoiled.pinflow("status")
    assert "all hops agree" in done.stdout
    rows = [line.split() for line in done.stdout.replace(",", "").splitlines()]
    for kind, topic in zip(("pin", "geo", "user"), spoiled.profile.topics, strict=True):
        to_s3, to_table = (row for row in rows if row and row[0] == topic)
        # rows in MySQL, posted, in Kafka, objects, in S3, dead letters, nulls, not yet in S3, lost
        letters = [letter for letter in dead_letters(spoiled) if dict(letter.headers)[f"{FROM}topic"] == topic.encode()]
        dead = sum(bool(letter.value) for letter in letters)
        in_s3, records = len(lines(spoiled, topic)), records_in_kafka(spoiled, topic)
        assert [int(n) for n in (to_s3[3], *to_s3[5:])] == [records, in_s3, dead, len(letters) - dead, 0, 0]
        assert records == in_s3 + len(letters)
        # records in S3, rows in table, duplicates, quarantined, not yet in table
        bad = sum(row[0] == kind for row in quarantine(spoiled))
        count = len(spoiled.table(kind))
        assert [int(n) for n in to_table[1:]] == [in_s3, count, in_s3 - count - bad, bad, 0]


def test_a_row_of_10_mb_is_refused_spilled_and_counted_and_the_rest_goes_on(stack: TestStack) -> None:
    engine = create_engine(stack.profile.database.engine_url)
    with engine.begin() as connection:
        before = connection.execute(text("select title from pinterest_data where `index` = 7528")).scalar_one()
        statement = text("update pinterest_data set title = :title where `index` = 7528")
        connection.execute(text("alter table pinterest_data modify title longtext"))
        connection.execute(statement, {"title": "x" * 10_000_000})
    try:
        summary = stack.emulate("--count", "10", "--rate", "max", check=False)
    finally:
        with engine.begin() as connection:
            connection.execute(statement, {"title": before})
    assert (summary["posts"], summary["failures"]) == (10, 1)
    spilled = [json.loads(line) for line in Path(summary["spill_file"]).read_text(encoding="utf-8").splitlines()]
    assert [s["record"]["index"] for s in spilled if s["topic"] == stack.profile.topics[0]] == [7528]
    assert spilled[0]["reason"]
