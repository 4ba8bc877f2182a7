"""API Gateway as section 3 of the contract has it, deployed from localstack/template.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from foundation.aws import client
from tests.servers.backends import Backend
from tests.servers.localstack import UID, LocalStack

STREAM = f"streaming-{UID}-pin"
NASTY = [
    "😀 עברית \"quoted\" 'single' \\ back\nline\ttab\u00a0\u2028\u2029",
    '$input.json("$") #set($a = 1) $a ${a} #foreach($x in $y) #end',
    '"Data": {"x": 1}, "PartitionKey": "other"',
    "#* comment *# ## rest",
    "\u0000\u0001\u007f",
    '\\u00e9 \\" \\\\ $util.base64Encode("x") %7B &amp;',
    "",
]


def row(title: str) -> dict[str, Any]:
    return {"index": 7528, "title": title, "latitude": -89.9787, "big": 12345678901234567890, "none": None,
            "nested": {"list": [1, {title or "empty": title}]}}  # fmt: skip


# Not called `localstack`: pytest would take the parameter for that one's too, and start it anew for each.
@pytest.fixture(scope="module", params=["natively", "as in the image"])
def way(request: pytest.FixtureRequest) -> LocalStack:
    running: LocalStack = request.getfixturevalue("localstack" if request.param == "natively" else "in_image")
    return running


@pytest.fixture
def api(way: LocalStack) -> str:
    return way.profile.api.invoke_url


@pytest.fixture
def fetch(way: LocalStack) -> Callable[[], list[bytes]]:
    """A function that gives the data of the records which came to the stream since the test began."""
    kinesis = client(way.profile, "kinesis")
    shards = kinesis.list_shards(StreamName=STREAM)["Shards"]
    iterators = [
        kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="LATEST")
        for shard in shards
    ]

    def data() -> list[bytes]:
        batches = [kinesis.get_records(ShardIterator=it["ShardIterator"])["Records"] for it in iterators]
        return [record["Data"] for batch in batches for record in batch]

    return data


def test_proxy_hands_method_path_query_body_and_content_type_on(api: str, rest_proxy: Backend) -> None:
    kind = "application/vnd.kafka.json.v2+json"
    body = json.dumps({"records": [{"value": row(text)} for text in NASTY]}, ensure_ascii=False).encode()
    answer = requests.post(f"{api}/topics/{UID}.pin?x=1", data=body, headers={"Content-Type": kind}, timeout=30)
    seen = rest_proxy.seen[-1]
    assert answer.status_code == 200
    assert answer.json() == {"offsets": []}
    assert (seen.method, seen.path, seen.body) == ("POST", f"/topics/{UID}.pin?x=1", body)
    assert seen.headers["content-type"] == kind


@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_proxy_never_asks_the_rest_proxy_for_plain_json_alone(
    api: str, rest_proxy: Backend, accept: str | None
) -> None:
    requests.get(f"{api}/topics", headers={"Accept": accept}, timeout=30)
    assert "*/*" in rest_proxy.seen[-1].headers["accept"]
    assert "application/vnd.kafka.v2+json" in rest_proxy.seen[-1].headers["accept"]


def test_a_method_that_streams_does_not_have_goes_to_the_rest_proxy_as_on_aws(api: str, rest_proxy: Backend) -> None:
    """API Gateway looks for resource and method together: PUT /streams/{stream-name} is none, so /{proxy+} has it.

    Measured on AWS by others with trees of this shape: https://github.com/ministackorg/ministack/pull/1423 and
    https://github.com/floci-io/floci/pull/3399; a 403 Missing Authentication Token comes where nothing matches at all.
    """
    answer = requests.put(f"{api}/streams/record", json={"Data": {}, "PartitionKey": "p"}, timeout=30)
    assert answer.status_code == 200
    assert (rest_proxy.seen[-1].method, rest_proxy.seen[-1].path) == ("PUT", "/streams/record")


def test_what_matches_no_resource_is_a_403(api: str) -> None:
    answer = requests.put(f"{api}/", json={}, timeout=30)
    assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_proxy_takes_ten_megabytes_and_refuses_more_with_413(api: str, rest_proxy: Backend) -> None:
    headers = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    limit = 10 * 1024 * 1024
    assert requests.post(f"{api}/topics/t", data=b"x" * limit, headers=headers, timeout=60).status_code == 200
    before = len(rest_proxy.seen)
    for body in (b"x" * (limit + 1), iter([b"x" * limit, b"x"])):  # with a Content-Length, and in chunks
        assert requests.post(f"{api}/topics/t", data=body, headers=headers, timeout=60).status_code == 413
    assert requests.post(f"{api}/topics/t", data=b"x", headers=headers, timeout=60).status_code == 200
    assert len(rest_proxy.seen) == before + 1


@pytest.mark.parametrize("path", ["topics/t", "streams", "streams/s", "streams/s/record", "streams/s/records"])
def test_options_answers_a_browser(api: str, path: str) -> None:
    headers = {"Origin": "http://somewhere.example", "Access-Control-Request-Method": "POST"}
    answer = requests.options(f"{api}/{path}", headers=headers, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "OPTIONS" in answer.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]


def test_streams_are_listed(api: str) -> None:
    names = requests.get(f"{api}/streams", timeout=30).json()["StreamNames"]
    assert {f"streaming-{UID}-{table}" for table in ("pin", "geo", "user")} <= set(names)


@pytest.mark.parametrize(("body", "shards"), [(None, 5), ({}, 5), ({"ShardCount": 2}, 2)])
def test_stream_is_made_described_and_deleted(api: str, body: Any, shards: int) -> None:
    url = f"{api}/streams/streaming-{UID}-made-{shards}-{body is None}"
    assert requests.post(url, json=body, timeout=30).status_code == 200
    description = requests.get(url, timeout=30).json()["StreamDescription"]
    assert len(description["Shards"]) == shards
    assert requests.delete(url, timeout=30).status_code == 200
    assert requests.get(url, timeout=30).status_code == 400


def test_record_puts_the_rows_json_into_the_stream(api: str, fetch: Callable[[], list[bytes]]) -> None:
    rows = [row(text) for text in NASTY]
    for ascii_only in (True, False):
        for value in rows:
            body = {"StreamName": STREAM, "Data": value, "PartitionKey": 'key "é" \\'}
            data = json.dumps(body, ensure_ascii=ascii_only).encode()
            headers = {"Content-Type": "application/json"}
            answer = requests.put(f"{api}/streams/{STREAM}/record", data=data, headers=headers, timeout=30)
            assert answer.status_code == 200
            assert answer.json()["ShardId"].startswith("shardId-")
    assert [json.loads(data) for data in fetch()].count(rows[0]) == 2
    assert sorted(map(str, rows * 2)) == sorted(str(json.loads(data)) for data in fetch())


def test_records_puts_each_elements_json_into_the_stream(api: str, fetch: Callable[[], list[bytes]]) -> None:
    rows = [row(text) for text in NASTY]
    body = {"records": [{"data": value, "partition-key": f'p "{number}"'} for number, value in enumerate(rows)]}
    answer = requests.put(f"{api}/streams/{STREAM}/records", json=body, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["FailedRecordCount"] == 0
    assert sorted(map(str, rows)) == sorted(str(json.loads(data)) for data in fetch())


def test_records_takes_five_hundred_in_seconds(api: str, fetch: Callable[[], list[bytes]]) -> None:
    body = {"records": [{"data": {"index": n, "text": "x" * 380}, "partition-key": str(n)} for n in range(500)]}
    assert requests.put(f"{api}/streams/{STREAM}/records", json=body, timeout=30).status_code == 200
    assert sorted(json.loads(data)["index"] for data in fetch()) == list(range(500))


def test_a_text_as_data_is_stored_as_a_json_string(api: str, fetch: Callable[[], list[bytes]]) -> None:
    requests.put(f"{api}/streams/{STREAM}/record", json={"Data": 'a "text"', "PartitionKey": "p"}, timeout=30)
    body = {"records": [{"data": 'a "text"', "partition-key": "p"}]}
    requests.put(f"{api}/streams/{STREAM}/records", json=body, timeout=30)
    assert fetch() == [b'"a \\"text\\""'] * 2


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("record", b"{broken"),
        ("record", b""),
        ("record", b'{"PartitionKey": "p"}'),
        ("record", b'{"Data": {}}'),
        ("record", b'{"Data": {}, "PartitionKey": 5}'),
        ("records", b'{"records": [{"data": {}, "partition-k'),
        ("records", b'{"records": []}'),
        ("records", b'{"records": [{"data": {}}]}'),
    ],
)
def test_a_bad_body_is_a_400(api: str, fetch: Callable[[], list[bytes]], call: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.put(f"{api}/streams/{STREAM}/{call}", data=body, headers=headers, timeout=30)
    assert answer.status_code == 400
    assert fetch() == []


def test_a_body_of_another_type_is_a_415(api: str) -> None:
    body = json.dumps({"Data": {}, "PartitionKey": "p"})
    answer = requests.put(
        f"{api}/streams/{STREAM}/record", data=body, headers={"Content-Type": "text/plain"}, timeout=30
    )
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("record", {"Data": {}, "PartitionKey": "p"}),
        ("records", {"records": [{"data": {}, "partition-key": "p"}]}),
    ],
)
def test_an_error_of_kinesis_is_a_400_with_its_own_body(api: str, call: str, body: Any) -> None:
    answer = requests.put(f"{api}/streams/absent/{call}", json=body, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["__type"] == "ResourceNotFoundException"
