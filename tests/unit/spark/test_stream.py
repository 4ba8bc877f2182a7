"""The stream job on records from files: what it appends, once, and how it goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pinterest import stream
from pinterest.batch import load
from pinterest.stream import Comparison, compare, create_tables, write
from tests.unit.spark.records import record

UID = "5" * 12
Run = Callable[..., None]


@pytest.fixture(scope="module")
def tables(spark: SparkSession) -> None:
    create_tables(spark, UID)


@pytest.fixture
def run(spark: SparkSession, tables: None, tmp_path: Path) -> Run:
    """Takes lines, puts them into a file of the stream and lets a query drain it."""
    source = tmp_path / "source"
    source.mkdir()

    def run(name: str, *lines: str) -> None:
        (source / f"{len(list(source.iterdir())):03}.txt").write_text("".join(f"{x}\n" for x in lines), "utf-8")
        query = write(_records(spark, source), UID, name, str(tmp_path / "checkpoints"))
        query.processAllAvailable()
        query.stop()

    return run


def _records(spark: SparkSession, source: Path) -> DataFrame:
    return (
        spark.readStream.text(str(source))
        .withColumn("source", F.lit("a-stream"))
        .withColumn("position", F.concat(F.lit("shardId-000000000000 "), F.col("value").substr(1, 4)))
        .withColumn("time", F.to_timestamp(F.lit("2026-01-02 03:04:05")))
    )


def rows(spark: SparkSession, table: str, where: str = "true") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spark.table(f"`{UID}_{table}`").where(where).toArrow().to_pylist()
    return found


def commits(spark: SparkSession, table: str) -> int:
    warehouse = Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:"))
    return len(list((warehouse / f"{UID}_{table}" / "_delta_log").glob("*.json")))


def test_each_record_is_a_row_and_the_view_has_one_for_each_post(spark: SparkSession, run: Run) -> None:
    run("pin", record("pin", index=1, title="a"), record("pin", index=1, title="b"), record("pin", index=2))
    run("pin", record("pin", index=1, title="a"))
    assert sorted(row["ind"] for row in rows(spark, "pin_table")) == [1, 1, 1, 2]
    assert {row["ind"]: row["title"] for row in rows(spark, "pin_distinct")}[1] == "b"
    assert len(rows(spark, "pin_distinct")) == 2


def test_what_does_not_fit_is_in_the_quarantine_and_the_stream_goes_on(spark: SparkSession, run: Run) -> None:
    before = commits(spark, "stream_quarantine")
    run("geo", record("geo", ind=1), "no JSON", record("geo", ind=2))
    run("geo", record("geo", ind=3))
    run("geo", "[]")
    assert sorted(row["ind"] for row in rows(spark, "geo_table")) == [1, 2, 3]
    found = sorted(rows(spark, "stream_quarantine", "table = 'geo'"), key=lambda row: row["raw"])
    assert [row["raw"] for row in found] == ["[]", "no JSON"]
    assert (found[1]["source"], found[1]["position"]) == ("a-stream", "shardId-000000000000 no J")
    assert commits(spark, "stream_quarantine") == before + 2, "no commit for a batch without such records"


def test_a_batch_that_the_tables_have_is_not_written_again(spark: SparkSession, run: Run, tmp_path: Path) -> None:
    run("user", record("user", ind=1), "bad")
    run("user", record("user", ind=2), "worse")
    # As after a kill between the tables' commits and Spark's own.
    (newest,) = (tmp_path / "checkpoints" / f"{UID}_user_table" / "commits").glob("1")
    newest.unlink()
    run("user", record("user", ind=3))
    assert sorted(row["ind"] for row in rows(spark, "user_table")) == [1, 2, 3]
    assert sorted(row["raw"] for row in rows(spark, "stream_quarantine", "table = 'user'")) == ["bad", "worse"]


def test_killed_between_its_two_tables_the_quarantine_is_written_too(
    spark: SparkSession, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = stream._Append._append

    def killed(self: Any, rows: DataFrame, table: str, **options: str) -> None:
        if "quarantine" in table:
            raise RuntimeError("killed here")
        append(self, rows, table, **options)

    with monkeypatch.context() as patch:
        patch.setattr(stream._Append, "_append", killed)
        with pytest.raises(Exception, match="killed here"):
            run("geo", record("geo", ind=77), "half way")
    run("geo", record("geo", ind=78))
    assert sorted(row["ind"] for row in rows(spark, "geo_table", "ind between 77 and 78")) == [77, 78]
    assert len(rows(spark, "stream_quarantine", "raw = 'half way'")) == 1


def test_what_an_earlier_run_has_in_hand_does_not_get_in(spark: SparkSession, run: Run, tmp_path: Path) -> None:
    run("pin", record("pin", index=90))
    began, go_on, table = tmp_path / "began", tmp_path / "go on", f"`{UID}_pin_table`"

    def wait_for(file: Path) -> None:
        deadline = time.monotonic() + 120
        while not file.exists():
            assert time.monotonic() < deadline, f"no {file}"
            time.sleep(0.1)

    def in_the_middle(ind: int) -> int:
        began.touch()
        wait_for(go_on)
        return ind

    others = (F.lit(None).alias(name) for name in spark.table(table).columns if name != "ind")
    late = spark.range(1).select(F.udf(in_the_middle, "int")(F.lit(91)).alias("ind"), *others)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(stream._Append(UID, "pin", "")._append, late, table)
        wait_for(began)
        run("pin", record("pin", index=92))
        go_on.touch()
        with pytest.raises(Exception, match="DELTA_METADATA_CHANGED"):
            writing.result()
    assert sorted(row["ind"] for row in rows(spark, "pin_table", "ind between 90 and 99")) == [90, 92]


def test_small_files_are_joined(spark: SparkSession, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAINTENANCE_EVERY", 3)
    for ind in range(200, 203):
        run("user", record("user", ind=ind))
    assert spark.sql(f"describe detail `{UID}_user_table`").first()["numFiles"] == 1
    assert len(rows(spark, "user_table", "ind >= 200")) == 3


def test_both_layers_are_compared_post_by_post(spark: SparkSession, run: Run, tmp_path: Path) -> None:
    spark.sql(f"delete from `{UID}_pin_table`")
    run("pin", *(record("pin", index=index) for index in (1, 2, 3)))
    topics = tmp_path / "topics"
    changed = [record("pin", index=1), record("pin", index=2, title="other"), record("pin", index=4, title=None)]
    for name, lines in {"pin": changed, "geo": [record("geo", ind=9)], "user": [record("user", ind=999)]}.items():
        file = topics / f"{UID}.{name}" / "partition=0" / "a.json"
        file.parent.mkdir(parents=True)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        load(spark, UID, name, str(topics))
    found = compare(spark, UID)
    assert found["pin"] == Comparison(both=2, differing=1, only_batch=1, only_stream=1)
    assert found["user"].both == 0


def test_progress_is_written_for_people_outside(spark: SparkSession, run: Run, tmp_path: Path) -> None:
    source = tmp_path / "more"
    source.mkdir()
    (source / "a.txt").write_text(record("geo", ind=500) + "\n", encoding="utf-8")
    query = write(_records(spark, source), UID, "geo", str(tmp_path / "other"))
    query.processAllAvailable()
    query.stop()
    stream.follow([query], tmp_path / "progress.json", every=0.1)
    (progress,) = json.loads((tmp_path / "progress.json").read_text(encoding="utf-8"))
    assert (progress["query"], progress["batch"]) == (f"{UID}_geo", 0)
    assert progress["read"] == 1
    assert progress["rows_per_second"] > 0
    assert progress["offset"]
