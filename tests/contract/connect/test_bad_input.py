"""A thousand bad values in Kafka and a thousand bad calls: each ends in one place, or is refused in words."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest
import requests
from kafka import KafkaConsumer
from pydantic_core import from_json

from tests.contract.connect.world import Pipe, Record, World
from tests.generated import CASES, changed, damaged, text, value
from tests.servers.waiting import wait_for

pytestmark = pytest.mark.long
RECORD = {
    "index": 1,
    "title": "ein Ünicode \u2028 text",
    "follower_count": "12k",
    "deep": {"a": [1.50, None, "\U0001f600"]},
}


def values(draw: random.Random) -> list[Record]:
    """Values as they may lie in a topic."""
    good = json.dumps(RECORD, ensure_ascii=False, indent=draw.choice((None, 1))).encode()
    found: list[Record] = []
    for _ in range(CASES):
        match draw.randrange(10):
            case 0:
                found.append(draw.choice((None, b"", b" ", b"null", b"\t null\r\n", good)))
            case 1 | 2:
                found.append(json.dumps(value(draw)).encode())
            case 3 | 4:
                found.append(json.dumps(changed(draw, RECORD)).encode())
            case _:
                found.append(damaged(draw, good))
    return found


def is_json(raw: bytes) -> bool:
    """In the eyes of another parser than Python's; halves of characters are JSON (RFC 8259, 8.2), and none to it."""
    try:
        from_json(raw.replace(rb"\ud800", rb"\u0020"), allow_inf_nan=False)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("seed", [7])
def test_each_value_is_in_s3_or_a_dead_letter_or_was_a_null(pipe: Pipe, seed: int) -> None:
    sent = [*values(random.Random(seed)), json.dumps(RECORD).encode()]  # the last one is good: it is committed
    assert pipe.put(flush__size="100", rotate__schedule__interval__ms="1000").status_code == 201
    pipe.send(sent)
    pipe.wait_committed(len(sent), seconds=120)
    dead = {}
    for letter in dead_letters(pipe):
        headers = {name.removeprefix("__connect.errors."): value.decode() for name, value in letter.headers}
        assert (headers["topic"], headers["partition"]) == (pipe.topic, "0")
        assert headers["exception.message"].strip()
        dead[int(headers["offset"])] = letter.value
    assert dead == {offset: sent[offset] for offset in dead}, "the value as it was, under its own offset"
    nulls = {offset for offset, raw in enumerate(sent) if raw is None or raw.strip(b" \t\r\n") in (b"", b"null")}
    assert nulls <= set(dead), "the sink reports the nulls that it skips there too"
    dead = {offset: raw for offset, raw in dead.items() if offset not in nulls}
    written = [raw for offset, raw in enumerate(sent) if offset not in nulls and offset not in dead and raw is not None]
    assert len(nulls) > 20 and len(dead) > 200 and len(written) > 200, "a seed that tries all three"
    lines = Counter(raw.strip(b" \t\r\n").replace(b"\r", b" ").replace(b"\n", b" ") for raw in written)
    assert pipe.lines() == lines
    assert [raw for raw in written if not is_json(raw)] == []
    assert [raw for raw in dead.values() if raw is not None and is_json(raw)] == []
    assert pipe.states() == ["RUNNING"]


def dead_letters(pipe: Pipe) -> list[Any]:
    """All that are there now."""
    consumer = KafkaConsumer(
        pipe.dead, bootstrap_servers=pipe.world.brokers, auto_offset_reset="earliest", consumer_timeout_ms=5_000
    )
    try:
        return list(consumer)
    finally:
        consumer.close(autocommit=False)


@pytest.mark.parametrize("seed", [7])
def test_each_call_is_carried_out_or_refused_in_words(world: World, seed: int) -> None:
    draw = random.Random(seed)
    with Pipe(world) as pipe:
        config = pipe.config()
        made: set[str] = set()
        for number in range(CASES):
            name = draw.choice((f"bad-{pipe.uid}-{number % 5}", quote(text(draw)[:200], safe="")))
            method, path, body = call(draw, name, config)
            headers = {"Content-Type": draw.choice(("application/json", "application/json", "text/plain", ""))}
            answer = requests.request(method, world.url + path, data=body, headers=headers, timeout=60)
            case = f"case {number}: {method} {path[:200]} {body[:300]!r}: {answer.status_code} {answer.text[:300]}"
            assert "Traceback" not in answer.text and "Error: " not in answer.text.partition(":")[0], case
            if answer.status_code >= 400 and not is_jettys(answer):
                document = answer.json()
                assert document["error_code"] == answer.status_code and document["message"].strip(), case
                # The real worker answers 500 to a body that it cannot read: never with the name of a Python error.
                assert not document["message"].startswith(PYTHON), case
            made |= {*requests.get(f"{world.url}/connectors", timeout=60).json()}
        for connector in made:
            requests.delete(f"{world.url}/connectors/{quote(connector, safe='')}", timeout=60)
        wait_for(
            "no connector to be left", lambda: not made & {*requests.get(f"{world.url}/connectors", timeout=60).json()}
        )
        assert pipe.put().status_code == 201, "it still works"


def is_jettys(answer: requests.Response) -> bool:
    """A path that Jetty does not let through: a page or nothing, never a connector's answer."""
    return answer.status_code == 400 and (not answer.content or answer.headers["Content-Type"].startswith("text/html"))


PYTHON = ("TypeError", "KeyError", "AttributeError", "ValueError", "IndexError", "RecursionError", "Unicode", "Kafka")


def call(draw: random.Random, name: str, config: dict[str, str]) -> tuple[str, str, bytes]:
    """Method, path and body of a call that is wrong somewhere."""
    one = f"/connectors/{name}"
    offsets = {"offsets": [{"partition": {"kafka_topic": "t", "kafka_partition": 0}, "offset": {"kafka_offset": 1}}]}
    method, path, good = draw.choice(
        (
            ("PUT", f"{one}/config", config),
            ("PUT", f"{one}/config", config),
            ("POST", "/connectors", {"name": "x", "config": config}),
            ("PATCH", f"{one}/config", {"flush.size": "1"}),
            ("PATCH", f"{one}/offsets", offsets),
            ("PUT", "/connector-plugins/S3SinkConnector/config/validate", config),
            ("POST", f"{one}/restart?includeTasks={text(draw)[:20]!r}", {}),
            ("POST", f"{one}/tasks/{draw.choice(('0', '-1', 'x', '99999999999999999999'))}/restart", {}),
            ("GET", f"{one}/status", {}),
            ("PUT", f"{one}/stop", {}),
            ("DELETE", f"{one}/offsets", {}),
            ("DELETE", one, {}),
        )
    )
    wrong = json.dumps(changed(draw, {**good}) if draw.random() < 0.7 else value(draw)).encode()
    return method, path, damaged(draw, wrong) if draw.random() < 0.3 else wrong
