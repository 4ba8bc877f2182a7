"""A thousand bad requests: each record is in Kafka or refused with a code and words, and the proxy goes on."""

from __future__ import annotations

import base64
import json
import random
import uuid
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.contract.rest_proxy.client import BINARY, JSON, V2, Client
from tests.generated import CASES, changed, damaged, text, value
from tests.servers.service import Running

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seed", [7])
def test_each_record_is_in_kafka_or_refused_in_words(client: Client, proxy: Running, seed: int) -> None:
    draw = random.Random(seed)
    # Partition 1 is drawn too; one that is not there would be waited for.
    topic = client.new_topic(f"bad.{uuid.uuid4()}", 2)
    written = refused = 0
    for number in range(CASES):
        path, content_type, body = produce(draw, topic)
        answer = client.post(path, body, content_type)
        case = f"case {number}: {path[:200]} {content_type} {body[:300]!r}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code == 200:
            document = answer.json()
            for entry in document["offsets"]:
                assert (entry["error_code"] is None) == (entry["offset"] is not None), case
                assert entry["error_code"] is None or entry["error"], case
                written += entry["error_code"] is None
        else:
            # A negative partition is 500, as on the real one.
            assert answer.status_code in (400, 404, 415, 422) or (answer.status_code == 500 and "-1" in case), case
            if content_type != "x":  # to which the web server answers, with a page
                document = answer.json()
                assert (
                    str(document["error_code"]).startswith(str(answer.status_code)) and document["message"].strip()
                ), case
            refused += 1
    found = [record for partition in range(2) for record in client.on_topic(topic, partition)]
    assert len(found) == written, "what it said it wrote, and nothing else"
    assert written > 50 and refused > 200, "a seed that tries both"
    assert client.produce(topic, 1)[0]["error_code"] is None, "it still works"
    assert "Traceback" not in proxy.log.read_text()


def produce(draw: random.Random, topic: str) -> tuple[str, str, bytes]:
    """Path, content type and body of records that are wrong somewhere."""
    binary = draw.random() < 0.2
    item = base64.b64encode(b"data").decode() if binary else {"index": 1, "title": "t"}
    records: list[dict[str, Any]] = [{"key": None, "value": item, "partition": 0} for _ in range(draw.randint(1, 3))]
    kind = draw.random()
    if kind < 0.4:
        records[0] = changed(draw, records[0])
    elif kind < 0.5:
        records[0]["value"] = value(draw)
    document: Any = {"records": records}
    if draw.random() < 0.2:
        document = changed(draw, document) if draw.random() < 0.8 else value(draw)
    body = json.dumps(document).encode()
    if draw.random() < 0.3:
        body = damaged(draw, body)
    paths = [f"/topics/{topic}"] * 8 + [f"/topics/{topic}/partitions/{draw.choice(('0', '-1', 'x', '9' * 30))}"]
    # With the blank no topic can have that name, so it is not waited for.
    path = draw.choice([*paths, f"/topics/{quote(' ' + text(draw)[:300], safe='')}/partitions/0"])
    types = [BINARY if binary else JSON] * 9 + [draw.choice((V2, JSON, BINARY, "application/json", "x"))]
    return path, draw.choice(types), body


@pytest.mark.parametrize("seed", [7])
def test_each_call_of_a_consumer_is_answered_or_refused_in_words(client: Client, proxy: Running, seed: int) -> None:
    draw = random.Random(seed)
    group = f"bad-{uuid.uuid4()}"
    bodies: dict[str, dict[str, Any]] = {
        "": {"name": "one", "format": "json", "auto.offset.reset": "earliest"},
        "/instances/one/subscription": {"topics": ["absent"]},
        "/instances/one/assignments": {"partitions": [{"topic": "absent", "partition": 0}]},
        "/instances/one/positions": {"offsets": [{"topic": "absent", "partition": 0, "offset": 0}]},
        "/instances/one/positions/beginning": {"partitions": [{"topic": "absent", "partition": 0}]},
        "/instances/one/offsets": {"offsets": [{"topic": "absent", "partition": 0, "offset": 0}]},
    }
    client.post(f"/consumers/{group}", bodies[""])
    for number in range(CASES):
        path = draw.choice(list(bodies))
        document = changed(draw, bodies[path]) if draw.random() < 0.7 else value(draw)
        if path == "" and isinstance(document, dict):
            document["name"] = f"other-{number % 10}"
        body = json.dumps(document).encode()
        if draw.random() < 0.3:
            body = damaged(draw, body)
        answer = client.post(f"/consumers/{group}{path}", body)
        case = f"case {number}: {path} {body[:300]!r}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code >= 400:
            document = answer.json()
            # 500 is the real proxy's answer too: to a null that nothing checks, and as 50002 where Kafka refuses.
            assert answer.status_code < 500 or document["error_code"] in (500, 50002), case
            assert str(document["error_code"]).startswith(str(answer.status_code)) and document["message"].strip(), case
        elif path == "" and answer.status_code == 200:
            requests.delete(answer.json()["base_uri"], headers={"Accept": V2}, timeout=60)
    client.delete(f"/consumers/{group}/instances/one")
    assert client.get("/topics").status_code == 200, "it still works"
    assert "Traceback" not in proxy.log.read_text()
