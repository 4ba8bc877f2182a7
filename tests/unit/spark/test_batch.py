"""The batch job on objects in a directory: what it reads, keeps, counts and saves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pinterest.batch import Answer, BatchError, Loaded, _records, answer, load
from pinterest.cleaning import clean
from pinterest.frames import persisted
from pinterest.registry import TABLES
from tests.unit.spark.records import record
from tests.unit.spark.test_questions import COLUMNS

UID = "0a1b2c3d4e5f"
NUMBER = "0e1234567890"
"""An uid that reads as a number."""
NAMES = [*TABLES, "quarantine", *COLUMNS]


@dataclass
class Result:
    """What a run of the whole job made."""

    loaded: dict[str, Loaded]
    answers: dict[str, Answer]


def run(spark: SparkSession, uid: str, source: str) -> Result:
    """As the job does it: the three tables side by side, then the questions."""
    with ThreadPoolExecutor() as pool:
        loaded = list(pool.map(lambda name: load(spark, uid, name, source), TABLES))
    return Result(dict(zip(TABLES, loaded, strict=True)), answer(spark, uid))


def put(source: Path, uid: str, table: str, *lines: str | bytes, partition: int = 0, offset: int = 0) -> Path:
    """An object as the sink writes it, a line a record."""
    directory = source / f"{uid}.{table}" / f"partition={partition}"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{uid}.{table}+{partition}+{offset:010}.json"
    file.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return file


def pins(*changes: dict[str, Any]) -> Iterable[str]:
    return (record("pin", **each) for each in changes)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Duplicates of each kind, records that do not fit, several objects and partitions."""
    source = tmp_path_factory.mktemp("topics")
    put(source, UID, "pin", *pins(
        {"index": 1}, {"index": 1}, {"index": 1, "downloaded": 0},  # the same once cleaned
        {"index": 2, "title": "a"}, {"index": 2, "title": "b"}, {"index": 2, "title": "b"},
        {"index": 2, "title": "No Title Data Available", "description": "z"},
        {"index": 3, "unique_id": "ｚ"}, {"index": 3, "unique_id": "𝐒"},
        {"index": 4, "follower_count": "9"}, {"index": 4, "follower_count": "10"}, {"index": 4, "follower_count": "9k"},
        {"index": 5, "unique_id": None}, {"index": 5, "unique_id": "a", "title": None},
    ))  # fmt: skip
    put(source, UID, "pin", *pins({"index": 1}, {"index": 6, "title": "a\u2028b 🎄"}), partition=1)
    put(source, UID, "pin", *pins({"index": 1, "category": "zoo"}), partition=1, offset=2)
    put(source, UID, "geo", *(record("geo", **each) for each in (
        {"ind": 1, "latitude": None}, {"ind": 1, "latitude": -9}, {"ind": 1, "latitude": -9, "longitude": -3},
        {"ind": 2, "country": None, "latitude": 80}, {"ind": 2, "country": "Chad", "latitude": -80},
        {"ind": 3, "timestamp": "2020-05-06 07:08:09"}, {"ind": 3, "timestamp": "2020-05-06T07:08:09"},
        {"ind": 4, "timestamp": "2019-01-01T00:00:00"}, {"ind": 4, "timestamp": "2019-01-01T00:00:01"},
    )))  # fmt: skip
    put(source, UID, "user", record("user", ind=1, age=None), record("user", ind=1, age=0), record("user", ind=2))
    put(source, UID, "user", record("user", ind=3), "", record("geo"), b'{"ind": \xff}', record("user", ind=4) + "\r",
        record("user", ind=5, age=151), partition=7)  # fmt: skip
    return source


@pytest.fixture(scope="module")
def results(spark: SparkSession, source: Path) -> list[Result]:
    """Two runs over the same objects."""
    return [run(spark, UID, str(source)), run(spark, UID, f"{source}/")]


def table(spark: SparkSession, name: str, uid: str = UID) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = spark.table(f"`{uid}_{name}`").toArrow().to_pylist()
    return sorted(rows, key=lambda row: row["ind"]) if name in TABLES else rows


def test_the_greatest_row_of_each_ind_is_kept(spark: SparkSession, results: list[Result]) -> None:
    kept = table(spark, "pin")
    assert [row["ind"] for row in kept] == [1, 2, 3, 4, 5, 6]
    assert [row["category"] for row in kept] == ["zoo", "art", "art", "art", "art", "art"]
    assert kept[1]["title"] == "b"
    assert kept[2]["unique_id"] == "𝐒"
    assert kept[3]["follower_count"] == 9_000
    assert (kept[4]["unique_id"], kept[4]["title"]) == ("a", None)
    assert kept[5]["title"] == "a\u2028b 🎄"


def test_columns_are_compared_from_left_to_right_null_lowest(spark: SparkSession, results: list[Result]) -> None:
    assert [(row["ind"], row["country"], row["coordinates"]) for row in table(spark, "geo")] == [
        (1, "Chad", [-9.0, -2.25]),
        (2, "Chad", [-80.0, -2.25]),
        (3, "Chad", [1.5, -2.25]),
        (4, "Chad", [1.5, -2.25]),
    ]
    assert table(spark, "geo")[3]["timestamp"] == datetime(2019, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert [(row["ind"], row["age"]) for row in table(spark, "user")] == [(1, 0), (2, 22), (3, 22), (4, 22)]


def test_differing_rows_are_counted_and_equal_ones_are_not(results: list[Result]) -> None:
    # pin: ind 1 has one that lost (three times the same), 2 two, 3 one, 4 two, 5 one; geo: 2, 1, 0, 1; user: 1.
    differing = {name: loaded.differing for name, loaded in results[0].loaded.items()}
    assert differing == {"pin": 1 + 2 + 1 + 2 + 1, "geo": 2 + 1 + 0 + 1, "user": 1}


def test_rows_are_counted(results: list[Result]) -> None:
    assert {name: loaded.rows for name, loaded in results[0].loaded.items()} == {"pin": 6, "geo": 4, "user": 4}
    assert {name: loaded.quarantined for name, loaded in results[0].loaded.items()} == {"pin": 0, "geo": 0, "user": 4}


def test_the_quarantine_says_where_and_why(spark: SparkSession, results: list[Result], source: Path) -> None:
    file = source / f"{UID}.user" / "partition=7" / f"{UID}.user+7+0000000000.json"
    lines = sorted(table(spark, "quarantine"), key=lambda row: row["position"])
    assert [(row["table"], row["position"], row["raw"]) for row in lines] == [
        ("user", "line 2", ""),
        ("user", "line 3", record("geo")),
        ("user", "line 4", '{"ind": \ufffd}'),
        ("user", "line 6", record("user", ind=5, age=151)),
    ]
    assert all(row["source"].endswith(str(file)) for row in lines)
    assert [row["raw_bytes"] for row in lines] == [None, None, b'{"ind": \xff}', None]
    assert [row["reason"] for row in lines][1:3] == ["first_name: the key is missing", "not UTF-8"]
    assert all(row["reason"] for row in lines)
    assert {int(row["time"].timestamp()) for row in lines} == {int(file.stat().st_mtime)}


def test_the_answers_are_saved_with_their_rows_in_order(spark: SparkSession, results: list[Result]) -> None:
    for name, found in results[0].answers.items():
        saved = spark.table(f"`{UID}_{name}`").toArrow()
        assert saved.column_names == found.columns == COLUMNS[name]
        assert [list(row.values()) for row in saved.to_pylist()] == found.rows
    # ind 1, 2, 3 and 4 are in all three tables.
    assert results[0].answers["q1"].rows == [["Chad", "art", 3]]


def test_a_second_run_changes_nothing(spark: SparkSession, results: list[Result]) -> None:
    first, second = results
    assert first == second
    for name, version in [*((name, 0) for name in TABLES), ("quarantine", 1)]:
        before = spark.sql(f"SELECT * FROM `{UID}_{name}` VERSION AS OF {version}").toArrow().to_pylist()
        after = spark.table(f"`{UID}_{name}`").toArrow().to_pylist()
        assert sorted(map(repr, before)) == sorted(map(repr, after)), name


def test_each_run_is_one_commit_of_each_table(spark: SparkSession, results: list[Result]) -> None:
    warehouse = Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:"))
    commits = {name: len(list((warehouse / f"{UID}_{name}" / "_delta_log").glob("*.json"))) for name in NAMES}
    # The quarantine is made first, then one topic replaces its part of it; the others have nothing to say.
    assert commits == dict.fromkeys(NAMES, 2) | {"quarantine": 3}


def test_the_time_zone_is_set_to_utc(spark: SparkSession, results: list[Result]) -> None:
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"


@pytest.mark.parametrize("made", [False, True], ids=["missing", "empty"])
def test_a_source_without_records_is_refused_and_the_tables_stay(
    spark: SparkSession, results: list[Result], tmp_path: Path, made: bool
) -> None:
    source = tmp_path / "topics"
    if made:
        put(source, UID, "pin")
    with pytest.raises(BatchError, match=f"{source}: no record in {UID}.pin, {UID}.geo, {UID}.user"):
        run(spark, UID, str(source))
    assert len(table(spark, "pin")) == 6
    assert spark.sql(f"DESCRIBE HISTORY `{UID}_pin`").count() == 2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One topic without an object, one with nothing that fits, and an uid that reads as a number."""
    source = tmp_path_factory.mktemp("small topics")
    put(source, NUMBER, "pin", record("pin"))
    put(source, NUMBER, "user", "not JSON")
    return source


def test_a_topic_without_objects_or_without_a_record_that_fits_makes_an_empty_table(
    spark: SparkSession, small: Path
) -> None:
    result = run(spark, NUMBER, str(small))
    assert {name: answer.rows for name, answer in result.answers.items()} == {name: [] for name in COLUMNS}
    assert result.loaded == {"pin": Loaded(1, 0, 0), "geo": Loaded(0, 0, 0), "user": Loaded(0, 1, 0)}
    assert (len(table(spark, "pin", NUMBER)), len(table(spark, "geo", NUMBER))) == (1, 0)
    assert [(row["position"], row["raw"]) for row in table(spark, "quarantine", NUMBER)] == [("line 1", "not JSON")]


def test_a_record_that_was_put_right_leaves_the_quarantine(spark: SparkSession, tmp_path: Path) -> None:
    uid = "c" * 12
    bad = put(tmp_path, uid, "user", "not JSON")
    put(tmp_path, uid, "geo", "not JSON either")
    run(spark, uid, str(tmp_path))
    assert {row["table"] for row in table(spark, "quarantine", uid)} == {"user", "geo"}
    bad.write_text(record("user") + "\n", encoding="utf-8")
    load(spark, uid, "user", str(tmp_path))
    assert {row["table"] for row in table(spark, "quarantine", uid)} == {"geo"}


@pytest.mark.parametrize(
    ("source", "said"),
    [("/no/such/topics", f"no record in {NUMBER}.pin"), ("nowhere://bucket/topics", "nowhere")],
)
def test_an_error_says_what_failed_and_where(spark: SparkSession, source: str, said: str) -> None:
    with pytest.raises(BatchError, match=said) as error:
        load(spark, NUMBER, "pin", source)
    assert source in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_bad_records_of_every_run_reach_the_quarantine(spark: SparkSession, tmp_path: Path) -> None:
    """On one driver, whose cache outlives a run: each run reads what is there now."""
    uid = "d" * 12
    for number in range(3):
        put(tmp_path, uid, "user", f"not JSON {number}", record("user", ind=number), offset=number * 2)
        loaded = load(spark, uid, "user", str(tmp_path))
        assert (loaded.quarantined, loaded.rows, loaded.records) == (number + 1, number + 1, 2 * (number + 1))
        found = {row["raw"] for row in table(spark, "quarantine", uid)}
        assert found == {f"not JSON {each}" for each in range(number + 1)}


def test_what_a_killed_run_has_kept_is_not_taken_for_what_is_there_now(spark: SparkSession, tmp_path: Path) -> None:
    uid = "e" * 12
    put(tmp_path, uid, "user", record("user", ind=1))
    killed = persisted(clean(TABLES["user"], _records(spark, f"{tmp_path}/{uid}.user")).rows)
    assert killed.__enter__().count() == 1
    put(tmp_path, uid, "user", record("user", ind=2), offset=1)
    assert load(spark, uid, "user", str(tmp_path)).rows == 2
    killed.__exit__(None, None, None)


def test_nothing_is_left_in_the_driver_s_cache(spark: SparkSession, results: list[Result], tmp_path: Path) -> None:
    uid = "f" * 12
    put(tmp_path, uid, "user", "not JSON", record("user"))
    load(spark, uid, "user", str(tmp_path))
    plan = clean(TABLES["user"], _records(spark, f"{tmp_path}/{uid}.user")).judged
    assert "InMemoryRelation" not in plan._explain_string()


def test_the_commit_says_what_the_table_was_made_of(spark: SparkSession, source: Path, results: list[Result]) -> None:
    for name, loaded in results[1].loaded.items():
        commit = spark.sql(f"DESCRIBE HISTORY `{UID}_{name}` LIMIT 1").first()
        assert commit is not None
        made_of = json.loads(commit["userMetadata"])
        lines = sum(file.read_bytes().count(b"\n") for file in (source / f"{UID}.{name}").rglob("*.json"))
        assert made_of["records"] == lines == made_of["rows"] + made_of["quarantined"] + made_of["duplicates"]
        assert made_of["quarantined"] == loaded.quarantined
        assert made_of["read_at"] <= commit["timestamp"].timestamp()
