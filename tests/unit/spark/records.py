"""Records as the topics hold them, and what cleaning makes of many at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from pinterest.cleaning import Cleaned, clean
from pinterest.registry import TABLES

RECORDS: dict[str, dict[str, Any]] = {
    "pin": {
        "index": 1, "unique_id": "u1", "title": "t", "description": "d", "poster_name": "ann", "follower_count": "1k",
        "tag_list": "a,b", "is_image_or_video": "image", "image_src": "https://x/y.jpg", "downloaded": 1,
        "save_location": "Local save in /data/art", "category": "art",
    },
    "geo": {"ind": 1, "timestamp": "2020-05-06T07:08:09", "latitude": 1.5, "longitude": -2.25, "country": "Chad"},
    "user": {"ind": 1, "first_name": "Ann", "last_name": "Lee", "age": 22, "date_joined": "2016-01-02T03:04:05"},
}  # fmt: skip
"""A record of each table that fits."""

ARRIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A record of a table, and what comes of it; ``record`` is the exact text or bytes."""

    name: str
    table: str
    record: str | bytes
    expected: Any = None
    column: str = ""

    @property
    def raw(self) -> bytes:
        return self.record if isinstance(self.record, bytes) else self.record.encode("utf-8")


@dataclass(frozen=True)
class Judged:
    """What came of a record: the row of the cleaned table, or the reason why there is none."""

    row: dict[str, Any] | None
    reason: str | None


def record(table: str, **changes: Any) -> str:
    """A record that fits, with changes, as JSON."""
    return json.dumps({**RECORDS[table], **changes}, ensure_ascii=False)


def without(table: str, key: str) -> str:
    return json.dumps({name: value for name, value in RECORDS[table].items() if name != key})


def cleaned(spark: SparkSession, table: str, raws: Sequence[bytes]) -> Cleaned:
    """The records of one table, cleaned; the position is the place in ``raws``."""
    rows = [(raw, "somewhere", place, ARRIVED) for place, raw in enumerate(raws)]
    schema = "value BINARY, source STRING, position LONG, time TIMESTAMP"
    return clean(TABLES[table], spark.createDataFrame(rows, schema))


def judge(spark: SparkSession, cases: Sequence[Case]) -> dict[str, Judged]:
    """By case, what came of it. One job a table, however many cases there are."""
    found: dict[str, Judged] = {}
    for table in TABLES:
        mine = [case for case in cases if case.table == table]
        lines = cleaned(spark, table, [case.raw for case in mine]).judged.select("position", "reason", "row")
        for line in lines.toArrow().to_pylist():
            fits = line["reason"] is None
            found[mine[line["position"]].name] = Judged(line["row"] if fits else None, line["reason"])
    assert len(found) == len(cases), "a record is missing, or two cases have the same name"
    return found
