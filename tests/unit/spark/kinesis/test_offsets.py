"""Offsets in the checkpoint."""

from __future__ import annotations

import json

import pytest

from pyspark_kinesis.errors import KinesisError
from pyspark_kinesis.lineage import Step
from pyspark_kinesis.offsets import NOTHING, TRIM_HORIZON, Offset, Position
from pyspark_kinesis.stream import advance

AFTER = Position.after("4968", 1700)
SINCE = Position("AT_TIMESTAMP", timestamp=1600)


def test_an_offset_survives_json() -> None:
    offset = Offset({"a": {"1": AFTER, "2": SINCE, "3": TRIM_HORIZON, "4": AFTER.closed("1")}}, {"a": {"2": SINCE}})
    assert Offset.from_json(json.loads(json.dumps(offset.json()))) == offset


def test_equal_offsets_are_equal_text() -> None:
    """Spark compares them so."""
    one = Offset({"a": {"1": AFTER, "2": SINCE}, "b": {}}, {})
    other = Offset({"b": {}, "a": {"2": SINCE, "1": AFTER}}, {})
    assert json.dumps(one.json()) == json.dumps(other.json())


def test_another_sources_checkpoint_is_refused() -> None:
    with pytest.raises(KinesisError, match="not written by this Kinesis source"):
        Offset.from_json({"shardId-000000000000": 5})


def test_the_end_says_where_new_shards_began() -> None:
    """Spark keeps no start of the first micro-batch, and the source's would be another after a restart."""
    end = advance(NOTHING, [Step("a", "1", SINCE, begins=True), Step("a", "1", AFTER)], {"a"})
    assert end.streams == {"a": {"1": AFTER}}
    assert NOTHING.start(end, "a", "1") == SINCE
    later = advance(end, [Step("a", "2", AFTER)], {"a"})
    assert later.began == {}
    assert end.start(later, "a", "1") == AFTER
    assert end.start(later, "a", "2") == TRIM_HORIZON, "a shard that resharding made"


def test_a_closed_shard_keeps_its_last_number_or_its_own_first() -> None:
    assert AFTER.closed("1").json() == {"type": "SHARD_END", "sequenceNumber": "4968", "arrived": 1700}
    assert SINCE.closed("1").json() == {"type": "SHARD_END", "sequenceNumber": "1"}


def test_what_has_gone_leaves_the_offset() -> None:
    """The offsets of a query that runs for weeks do not grow."""
    start = Offset({"a": {"1": AFTER.closed("1"), "2": AFTER}, "unsubscribed": {"1": AFTER}}, {})
    assert advance(start, [Step("a", "1", None)], {"a"}).streams == {"a": {"2": AFTER}}
