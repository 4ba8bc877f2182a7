"""The batch path as a person goes it: post, wait for S3, run the batch, compare with the oracle."""

from __future__ import annotations

import json

import pytest

from tests import oracle
from tests.e2e.conftest import records_in_s3
from tests.servers.waiting import wait_for
from tests.stack import Row, TestStack

KINDS = {"pin": "pinterest_data", "geo": "geolocation_data", "user": "user_data"}
KEYS = {"pin": "index", "geo": "ind", "user": "ind"}
ANSWERS = ("q1", "q2", "q2b", "q3a", "q3b", "q4", "q5", "q6", "q7", "q8")


@pytest.fixture(scope="module")
def answered(posted: TestStack) -> TestStack:
    """The same after `make batch`."""
    posted.pinflow("batch")
    return posted


def sent_rows(stack: TestStack) -> dict[str, list[Row]]:
    """The source rows of the posts that lie in S3, read from MySQL itself."""
    lines = [line for body in stack.objects(stack.profile.topics[0]).values() for line in body]
    posts = {json.loads(line)["index"] for line in lines if is_post(line)}
    return {table: [row for row in rows if row[0] in posts] for table, rows in stack.source().items()}


def is_post(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line).get("index"), int) and "unique_id" in json.loads(line)
    except (ValueError, AttributeError):
        return False


def test_every_row_sent_is_in_s3_as_the_source_has_it(posted: TestStack) -> None:
    source = posted.source()
    for topic, kind in zip(posted.profile.topics, KINDS, strict=True):
        rows = {row[0]: row for row in source[KINDS[kind]]}
        lines = [json.loads(line) for body in posted.objects(topic).values() for line in body]
        assert len({post[KEYS[kind]] for post in lines}) == 494
        for post in lines:
            expected = [v.isoformat() if hasattr(v, "isoformat") else v for v in rows[post[KEYS[kind]]]]
            assert sorted(map(str, post.values())) == sorted(map(str, expected))


def test_no_record_stands_in_two_objects(posted: TestStack) -> None:
    for topic in posted.profile.topics:
        assert sum(len(lines) for lines in posted.objects(topic).values()) == 500


def test_objects_are_few_and_named_by_their_first_offset(posted: TestStack) -> None:
    topic = posted.profile.topics[0]
    offset = 0
    for key, lines in sorted(posted.objects(topic).items()):
        assert key == f"topics/{topic}/partition=0/{topic}+0+{offset:010d}.json"
        assert all(line.endswith(b"\n") for line in lines)
        offset += len(lines)
    assert len(posted.objects(topic)) <= 10


@pytest.mark.parametrize("table", [*KINDS, *ANSWERS])
def test_the_tables_are_what_the_oracle_computes_from_the_source(answered: TestStack, table: str) -> None:
    rows = sent_rows(answered)
    source = [rows[name] for name in KINDS.values()]
    expected = (oracle.tables(*source) | oracle.answers(*source))[table]
    actual = answered.table(table)
    if table in KINDS:
        actual = sorted(actual, key=lambda row: row[0])
    assert not oracle.compare(expected, actual)
    assert expected, "an empty table would prove nothing"


def test_running_the_batch_again_changes_nothing(answered: TestStack) -> None:
    before = {name: sorted(answered.table(name), key=repr) for name in (*KINDS, *ANSWERS)}
    answered.pinflow("batch")
    assert {name: sorted(answered.table(name), key=repr) for name in before} == before


def test_status_tells_that_all_hops_agree(answered: TestStack) -> None:
    done = answered.pinflow("status")
    assert "all hops agree" in done.stdout
    for number in ("11,154", "500", "494"):
        assert number in done.stdout


@pytest.mark.long
def test_all_posts_of_the_source_come_out_right(answered: TestStack) -> None:
    summary = answered.emulate("--order", "sequential", "--count", "11154", "--rate", "max")
    assert (summary["posts"], summary["failures"]) == (11154, 0)
    wait_for("everything in S3", lambda: records_in_s3(answered) >= 3 * (11154 + 500), timeout=120)
    answered.pinflow("batch")
    source = list(answered.source().values())
    expected = oracle.tables(*source) | oracle.answers(*source)
    for name in (*KINDS, *ANSWERS):
        actual = answered.table(name)
        ordered = sorted(actual, key=lambda row: row[0]) if name in KINDS else actual
        assert not oracle.compare(expected[name], ordered), name
