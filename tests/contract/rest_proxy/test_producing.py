"""POST /topics/…: statuses, bodies and error codes as recorded from the real REST Proxy (ARCHITECTURE.md)."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any

import psutil
import pytest

from services.rest_proxy.app import MAX_BODY
from tests.contract.kafka.running import Running
from tests.contract.rest_proxy.client import BINARY, JSON, V2, Client


def test_the_answer_has_an_entry_for_each_record_in_the_order_of_the_request(client: Client, topic: str) -> None:
    response = client.post(f"/topics/{topic}", {"records": [{"value": {"index": n}} for n in range(3)]}, JSON)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == V2
    assert response.json() == {
        "offsets": [{"partition": 0, "offset": n, "error_code": None, "error": None} for n in range(3)],
        "key_schema_id": None,
        "value_schema_id": None,
    }
    assert [record.value for record in client.on_topic(topic)] == [b'{"index":%d}' % n for n in range(3)]


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ('{"b": 1, "a" : [ 1, 2 ]}', '{"b":1,"a":[1,2]}'),
        ('"\\u00e9 \\ud83d\\ude00 \u00a0"', '"é 😀 \u00a0"'),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("[0.1000, 1E5, 1e400, -0.0, 3.14]", "[0.1000,1E5,1e400,-0.0,3.14]"),
        ('{"a": 1, "b": 2, "a": 3}', '{"a":3,"b":2}'),
        ('{"x": {"y": 0.10}, "z": "1 : 2"}', '{"x":{"y":0.10},"z":"1 : 2"}'),
    ],
    ids=["key order", "Unicode", "big integer", "decimals", "repeated key", "nested decimal"],
)
def test_json_is_written_compact_and_otherwise_as_it_came(client: Client, topic: str, sent: str, written: str) -> None:
    body = b'{"records": [{"value": ' + sent.encode() + b"}]}"
    assert client.post(f"/topics/{topic}", body, JSON).status_code == 200
    assert client.on_topic(topic)[0].value.decode() == written


def test_keys_and_nulls_reach_kafka_as_keys_and_nulls(client: Client, topic: str) -> None:
    body = {"records": [{"key": "k", "value": 1}, {"key": {"a": 1}}, {"value": None}]}
    assert client.post(f"/topics/{topic}", body, JSON).status_code == 200
    found = [(record.key, record.value) for record in client.on_topic(topic)]
    assert found == [(b'"k"', b"1"), (b'{"a":1}', None), (None, None)]


def test_binary_records_are_base64(client: Client, topic: str) -> None:
    data = bytes(range(256))
    records = [{"key": base64.b64encode(b"k").decode(), "value": base64.b64encode(data).decode()}, {"value": ""}]
    assert client.post(f"/topics/{topic}", {"records": records}, BINARY).status_code == 200
    assert [(record.key, record.value) for record in client.on_topic(topic)] == [(b"k", data), (None, b"")]
    assert client.post(f"/topics/{topic}", {"records": [{"value": "not base64"}]}, BINARY).status_code == 422


def test_a_partition_can_be_named_in_the_record_and_in_the_path(client: Client) -> None:
    topic = client.new_topic("three.partitions", 3)
    records = {"records": [{"value": n, "partition": n % 3} for n in range(6)]}
    entries = client.post(f"/topics/{topic}", records, JSON).json()["offsets"]
    assert [(entry["partition"], entry["offset"]) for entry in entries] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (0, 1),
        (1, 1),
        (2, 1),
    ]
    entries = client.post(f"/topics/{topic}/partitions/1", {"records": [{"value": "x"}]}, JSON).json()["offsets"]
    assert [(entry["partition"], entry["offset"]) for entry in entries] == [(1, 2)]


def test_a_partition_that_is_not_there(client: Client, topic: str) -> None:
    response = client.post(f"/topics/{topic}/partitions/9", {"records": [{"value": 1}]}, JSON)
    assert (response.status_code, response.json()["error_code"]) == (404, 40402)
    entries = client.post(f"/topics/{topic}", {"records": [{"value": 1, "partition": 9}, {"value": 2}]}, JSON).json()
    assert [entry["error_code"] for entry in entries["offsets"]] == [50003, None]


def test_an_absent_topic_fails_each_record_with_50003(client: Client) -> None:
    entries = client.produce("no.such.topic", 1, 2)
    assert [entry["error_code"] for entry in entries] == [50003, 50003]
    assert all(entry["offset"] is None and entry["error"] for entry in entries)


def test_a_row_of_ten_megabytes_is_refused_in_its_entry_and_its_neighbours_are_written(
    client: Client, topic: str
) -> None:
    entries = client.produce(topic, {"n": 1}, {"title": "x" * 10_000_000}, {"n": 3})
    assert [entry["error_code"] for entry in entries] == [None, 50002, None]
    assert [record.value for record in client.on_topic(topic)] == [b'{"n":1}', b'{"n":3}']


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", V2, None])
def test_415_for_other_content_types(client: Client, content_type: str | None) -> None:
    response = client.post("/topics/any", b"{}", content_type)
    assert response.status_code == 415
    assert response.json() == {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}


def test_parameters_of_the_content_type_do_no_harm(client: Client, topic: str) -> None:
    body = {"records": [{"value": 1}]}
    assert client.post(f"/topics/{topic}", body, f"{JSON}; charset=utf-8").status_code == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 406),
        ("text/html", 406),
        (f"{V2};q=0", 406),
        (None, 200),
        ("*/*", 200),
        (V2, 200),
        (f"{V2}, */*", 200),
        (f"text/html, {V2};q=0.5", 200),
        ("application/*;q=0.2", 200),
    ],
)
def test_the_accept_header_decides_between_200_and_406(client: Client, accept: str | None, status: int) -> None:
    assert client.get("/topics", accept).status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"records":[{"value":NaN}]}', 400),
        (b'{"records":[{"value":"\xff"}]}', 400),
        (b'{"records":[{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}", 400),
        (b'{"records":[{"value":' + b"9" * 10_000 + b"}]}", 400),
        (b"\x00", 400),
        (b"", 422),
        (b"{}", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"records":[]}', 422),
        (b'{"records":{}}', 422),
        (b'{"records":[1]}', 422),
        (b'{"records":[{"value":1}],"unknown":1}', 422),
        (b'{"records":[{"value":1,"unknown":1}]}', 422),
        (b'{"records":[{"value":1,"partition":-1}]}', 422),
        (b'{"records":[{"value":1,"partition":true}]}', 422),
        (b'{"records":[{"value":"\\ud800"}]}', 422),
    ],
)
def test_a_bad_body_is_a_documented_error_and_nothing_is_written(
    client: Client, topic: str, body: bytes, status: int
) -> None:
    response = client.post(f"/topics/{topic}", body, JSON)
    assert response.status_code == status
    assert response.json()["error_code"] // (1 if response.json()["error_code"] < 1000 else 100) == status
    assert response.json()["message"]
    assert client.on_topic(topic) == []
    assert client.produce(topic, 1)[0]["error_code"] is None


@pytest.mark.parametrize("chunked", [False, True], ids=["declared length", "chunked"])
def test_a_body_over_the_limit_is_413_and_is_not_kept_in_memory(client: Client, proxy: Running, chunked: bool) -> None:
    piece = b"x" * (1024 * 1024)
    pieces = 3 * MAX_BODY // len(piece)
    before = psutil.Process(proxy.pid).memory_info().rss
    connection = http.client.HTTPConnection(client.url.removeprefix("http://"), timeout=60)
    headers: dict[str, Any] = {"Content-Type": JSON}
    if not chunked:
        headers["Content-Length"] = str(pieces * len(piece))
    connection.request("POST", "/topics/any", (piece for _ in range(pieces)), headers, encode_chunked=chunked)
    response = connection.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["error_code"] == 413
    assert psutil.Process(proxy.pid).memory_info().rss - before < 2 * MAX_BODY
    assert client.get("/topics").status_code == 200
