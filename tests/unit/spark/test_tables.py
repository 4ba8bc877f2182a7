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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_PAUSES", (0.0,))


@pytest.fixture
def warehouse(spark: SparkSession) -> Path:
    return Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:"))


def test_it_has_its_columns_partitions_and_properties(spark: SparkSession) -> None:
    create_table(spark, "made", COLUMNS, partitioned_by=["name"], properties={"delta.checkpointInterval": "100"})
    assert spark.table("made").dtypes == [("name", "string"), ("number", "int")]
    (detail,) = spark.sql("describe detail made").collect()
    assert (detail["partitionColumns"], detail["properties"]) == (["name"], {"delta.checkpointInterval": "100"})


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


@pytest.mark.usefixtures("impatient")
def test_one_who_was_killed_before_the_first_commit_is_in_nobodys_way(spark: SparkSession, warehouse: Path) -> None:
    (warehouse / "killed_early" / "_delta_log").mkdir(parents=True)
    create_table(spark, "killed_early", COLUMNS)
    assert spark.table("killed_early").count() == 0


@pytest.mark.usefixtures("impatient")
def test_one_who_was_killed_before_the_metastore_knew_is_in_nobodys_way(spark: SparkSession, warehouse: Path) -> None:
    create_table(spark, "whole", COLUMNS, partitioned_by=["name"])
    spark.sql("insert into whole values ('a', 1)")
    shutil.copytree(warehouse / "whole", warehouse / "killed_late")
    create_table(spark, "killed_late", COLUMNS, partitioned_by=["name"])
    spark.sql("insert into killed_late values ('b', 2)")
    assert sorted(row["number"] for row in spark.table("killed_late").collect()) == [1, 2]


@pytest.mark.usefixtures("impatient")
def test_what_cannot_be_made_says_why(spark: SparkSession) -> None:
    with pytest.raises(PySparkException, match="SCHEMA_NOT_FOUND"):
        create_table(spark, "nowhere.table", COLUMNS)
