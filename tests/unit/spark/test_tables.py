"""Tables that several make at the same moment, or that one was killed at."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from pinterest import tables
from pinterest.tables import create_table

COLUMNS = "name string, number int"
PROPERTIES = {"delta.checkpointInterval": "100"}


@pytest.fixture
def warehouse(spark: SparkSession) -> Path:
    return Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:"))


def test_it_has_its_columns_partitions_and_properties(spark: SparkSession) -> None:
    create_table(spark, "made", COLUMNS, partitioned_by=["name"], properties=PROPERTIES)
    assert spark.table("made").dtypes == [("name", "string"), ("number", "int")]
    (detail,) = spark.sql("describe detail made").collect()
    assert (detail["partitionColumns"], detail["properties"]) == (["name"], PROPERTIES)


def test_one_that_is_there_stays_as_it_is(spark: SparkSession) -> None:
    create_table(spark, "there", COLUMNS)
    spark.sql("insert into there values ('a', 1)")
    create_table(spark, "there", COLUMNS)
    assert spark.table("there").count() == 1
    assert spark.sql("describe history there").count() == 2


@pytest.mark.parametrize("attempt", range(3))
def test_many_at_the_same_moment_all_have_it(spark: SparkSession, attempt: int) -> None:
    def make_and_write(number: int) -> None:
        create_table(spark, f"many{attempt}", COLUMNS, partitioned_by=["name"])
        spark.sql(f"insert into many{attempt} values ('a', {number})")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make_and_write, range(6)))
    assert sorted(row["number"] for row in spark.table(f"many{attempt}").collect()) == list(range(6))


@pytest.fixture
def left_by_a_kill(spark: SparkSession, warehouse: Path, request: pytest.FixtureRequest) -> str:
    """A table's directory that the metastore does not know: without a commit, or with all of the table's own."""
    name = f"killed_{request.param}"
    if request.param == "early":
        (warehouse / name / "_delta_log").mkdir(parents=True)
    else:
        create_table(spark, f"whole_{name}", COLUMNS, partitioned_by=["name"], properties=PROPERTIES)
        shutil.copytree(warehouse / f"whole_{name}", warehouse / name)
    return name


@pytest.mark.parametrize("left_by_a_kill", ["early", "late"], indirect=True)
def test_what_a_kill_left_is_taken_by_all_who_need_it(
    spark: SparkSession, left_by_a_kill: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_PAUSES", (0.1, 0.5, 1.0, 2.0))

    def take_and_write(number: int) -> None:
        create_table(spark, left_by_a_kill, COLUMNS, partitioned_by=["name"], properties=PROPERTIES)
        spark.sql(f"insert into {left_by_a_kill} values ('a', {number})")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(take_and_write, range(3)))
    assert sorted(row["number"] for row in spark.table(left_by_a_kill).collect()) == [0, 1, 2]
    (detail,) = spark.sql(f"describe detail {left_by_a_kill}").collect()
    assert (detail["partitionColumns"], detail["properties"]) == (["name"], PROPERTIES)


def test_rows_that_a_kill_left_stay(spark: SparkSession, warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_PAUSES", (0.0,))
    create_table(spark, "whole", COLUMNS, properties=PROPERTIES)
    spark.sql("insert into whole values ('a', 1)")
    shutil.copytree(warehouse / "whole", warehouse / "killed")
    create_table(spark, "killed", COLUMNS, properties=PROPERTIES)
    spark.sql("insert into killed values ('b', 2)")
    assert sorted(row["number"] for row in spark.table("killed").collect()) == [1, 2]


def test_what_cannot_be_made_says_why_at_once(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "time", None)  # who waited would fail otherwise
    with pytest.raises(PySparkException, match="SCHEMA_NOT_FOUND"):
        create_table(spark, "nowhere.table", COLUMNS)
