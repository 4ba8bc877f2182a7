"""The same rows whatever the session's settings are, and on a stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pinterest.cleaning import clean
from pinterest.registry import TABLES
from tests.unit.spark import test_cleaning_quarantine, test_cleaning_values
from tests.unit.spark.records import ARRIVED, Judged, judge

CASES = test_cleaning_values.CASES + test_cleaning_quarantine.CASES + test_cleaning_quarantine.FITTING
OTHER = {"spark.sql.ansi.enabled": "true", "spark.sql.session.timeZone": "Asia/Tokyo"}


@pytest.fixture(scope="module")
def judged(spark: SparkSession) -> dict[str, Judged]:
    """With the cluster's settings, and the tests' own time zone."""
    return judge(spark, CASES)


def test_ansi_and_another_time_zone_give_the_same(remote: str, judged: dict[str, Judged]) -> None:
    session = SparkSession.builder.remote(remote).create()
    for name, value in OTHER.items():
        assert session.conf.get(name) != value
        session.conf.set(name, value)
    assert judge(session, CASES) == judged
    session.stop()


@pytest.mark.parametrize("table", TABLES)
def test_a_stream_gives_the_same(spark: SparkSession, judged: dict[str, Judged], table: str, tmp_path: Path) -> None:
    # The source has a record a line. (JSON writes a newline within a text as \\n.)
    mine = [case for case in CASES if case.table == table and b"\n" not in case.raw]
    (tmp_path / "object.json").write_bytes(b"".join(case.raw + b"\n" for case in mine))
    lines = spark.readStream.format("text").option("lineSep", "\n").load(tmp_path.as_uri())
    place = {"source": F.lit("stream"), "position": F.lit("1"), "time": F.lit(ARRIVED)}
    stream = clean(TABLES[table], lines.withColumns(place)).judged.select("reason", "row")
    assert stream.isStreaming
    query = stream.writeStream.format("memory").queryName(f"judged_{table}").trigger(availableNow=True).start()
    assert query.awaitTermination(60), "the stream did not end"
    found = [
        Judged(line["row"] if line["reason"] is None else None, line["reason"])
        for line in spark.table(f"judged_{table}").toArrow().to_pylist()
    ]
    assert sorted(map(repr, found)) == sorted(repr(judged[case.name]) for case in mine)
