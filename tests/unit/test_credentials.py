"""The keys that a workspace starts with, when the start breaks off, and when they are the user's own."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

import pytest

from services.spark.credentials import NAME, provide


@pytest.fixture
def spark(tmp_path: Path) -> MagicMock:
    """A Spark that makes the directory of the table, and whose writes do as ``write.side_effect`` says."""
    spark = MagicMock()
    log = tmp_path / "user" / "hive" / "warehouse" / NAME / "_delta_log"
    spark.sql.side_effect = lambda text: log.mkdir(parents=True) if text.startswith("create") else None
    frame = spark.read.schema.return_value.option.return_value.csv.return_value.coalesce.return_value
    spark.write = frame.write.mode.return_value.saveAsTable
    return spark


def file(tmp_path: Path) -> Path:
    return tmp_path / "FileStore" / "tables" / f"{NAME}.csv"


def test_a_table_that_was_only_begun_is_made_again(spark: MagicMock, tmp_path: Path) -> None:
    spark.write.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        provide(spark, tmp_path, "key", "secret", tmp_path / "memory")
    spark.write.side_effect = None
    assert provide(spark, tmp_path, "key", "secret", tmp_path / "memory")
    assert not provide(spark, tmp_path, "key", "secret", tmp_path / "memory")
    assert provide(spark, tmp_path, "another", "secret", tmp_path / "memory")
    assert "another" in file(tmp_path).read_text()


def test_keys_that_change_after_a_start_that_broke_off_are_taken(spark: MagicMock, tmp_path: Path) -> None:
    spark.write.side_effect = KeyboardInterrupt
    for key in ("one", "two"):
        with pytest.raises(KeyboardInterrupt):
            provide(spark, tmp_path, key, "secret", tmp_path / "memory")
    spark.write.side_effect = None
    assert provide(spark, tmp_path, "three", "secret", tmp_path / "memory")
    assert "three" in file(tmp_path).read_text()


def test_a_file_of_the_users_own_stays_without_its_table_too(spark: MagicMock, tmp_path: Path) -> None:
    assert provide(spark, tmp_path, "key", "secret", tmp_path / "memory")
    file(tmp_path).write_bytes(b"mine \xff")
    (tmp_path / "user" / "hive" / "warehouse" / NAME / "_delta_log").rmdir()
    assert not provide(spark, tmp_path, "key", "secret", tmp_path / "memory")
    assert file(tmp_path).read_bytes() == b"mine \xff"
