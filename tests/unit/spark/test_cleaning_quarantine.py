"""What does not fit a table goes to the quarantine whole, with a reason; what only looks odd does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.unit.spark.records import ARRIVED, RECORDS, Case, Judged, cleaned, judge, record, without

GEO, USER, PIN = record("geo"), record("user"), record("pin")


def geo(old: str, new: str) -> str:
    """The geo record with a piece of its JSON replaced."""
    assert old in GEO
    return GEO.replace(old, new)


NOT_JSON = {
    "an empty line": "",
    "blanks": " \t",
    "text": "hello",
    "broken off": GEO[:-1],
    "NaN": geo("1.5", "NaN"),
    "Infinity": geo("1.5", "Infinity"),
    "-Infinity": geo("1.5", "-Infinity"),
    "a plus": geo("1.5", "+1.5"),
    "a leading zero": geo("1.5", "01.5"),
    "single quotes": geo('"Chad"', "'Chad'"),
    "a raw tab in a text": geo("Chad", "Ch\tad"),
    "half a surrogate pair": geo("Chad", "\\ud800"),
    "a trailing comma": geo("}", ",}"),
    "a byte order mark": "\ufeff" + GEO,
    "something after it": GEO + " x",
    "a bracket after it": GEO + "]",
    "a list after it": GEO + "],[",
    "a comment after it": GEO + "// x",
    "a comma after it": GEO + ",",
    "a text after it": GEO + ',"end of record"',
    "a text and a bracket after it": GEO + ',"end of record"] x',
    "two documents": GEO + GEO,
    "two documents and a blank": GEO + " " + GEO,
    "two documents and a comma": GEO + "," + GEO,
    "a key twice": geo('"ind": 1', '"ind": 1, "ind": 2'),
    "a key twice, the same": geo('"ind": 1', '"ind": 1, "ind": 1'),
    "a hundred thousand brackets": "[" * 100_000,
}
NOT_AN_OBJECT = {
    "a list": "[]", "a list of records": f"[{GEO}]", "a number": "1", "a text": '"a"',
    "a record as a text": json.dumps(GEO), "null": "null", "true": "true",
}  # fmt: skip
WRONG: dict[tuple[str, str], list[Any]] = {
    ("pin", "index"): [-1, 1.5, "1", 2_147_483_648, 10**30, None, True, [1]],
    ("geo", "ind"): [-1, "1", 2_147_483_648, None, True, {}],
    ("user", "ind"): [-1, "1", 2_147_483_648, None, True],
    **{
        ("pin", name): [1, True, ["a"], {"a": "b"}]
        for name in RECORDS["pin"]
        if name not in ("index", "follower_count", "downloaded")
    },
    ("pin", "follower_count"): [True, False, [], {"k": 1}],
    ("pin", "downloaded"): ["1", 1.5, True, []],
    ("geo", "latitude"): ["1.5", True, [1.5], "NaN"],
    ("geo", "longitude"): ["1.5", False, {}, ""],
    ("geo", "country"): [1, True, ["Chad"]],
    ("user", "first_name"): [1, False, {}],
    ("user", "last_name"): [1.5, True, []],
    ("user", "age"): [151, -1, "30", 30.5, True, 10**30, [30]],
}
MOMENTS = [
    "2020-05-06T07:08:09Z", "2020-05-06T07:08:09+00:00", "2020-05-06 07:08:09 UTC", "2020-05-06T07:08:09.5",
    "2020-05-06T07:08:09.000", "2020-05-06", "2020-05-06T07:08", "2020-05", "07:08:09", "2022-02-30T00:00:00",
    "2021-02-29T00:00:00", "1900-02-29T00:00:00", "2020-13-01T00:00:00", "2020-00-01T00:00:00", "2020-05-06T24:00:00",
    "2020-05-06T23:60:00", "2020-05-06T23:59:60", "0000-01-01T00:00:00", "10000-01-01T00:00:00", "-2020-05-06T07:08:09",
    "2020-5-6T7:8:9", "2020-05-06t07:08:09", "2020-05-06  07:08:09", " 2020-05-06T07:08:09", "2020-05-06T07:08:09 ",
    "2020-05-06T07:08:09\n", "２０２０-05-06T07:08:09", "06/05/2020 07:08:09", "now", "today", "epoch", "soon", "", " ",
    "null", 1588748889, 2020, True, [], {},
]  # fmt: skip
BAD_BYTES = GEO.encode().replace(b"Chad", b"Ch\xff\xfead")


def wrong(table: str, name: str, value: Any) -> Case:
    return Case(f"{table} {name}={json.dumps(value)}", table, record(table, **{name: value}), f"{name}: expected")


CASES = [
    *(Case(name, "geo", text, "not JSON") for name, text in NOT_JSON.items()),
    *(Case(name, "geo", text, "not a JSON object") for name, text in NOT_AN_OBJECT.items()),
    *(
        Case(f"{table} without {key}", table, without(table, key), f"{key}: the key is missing")
        for table in RECORDS
        for key in RECORDS[table]
    ),
    *(wrong(table, name, value) for (table, name), values in WRONG.items() for value in values),
    *(wrong("geo", "timestamp", value) for value in MOMENTS),
    *(wrong("user", "date_joined", value) for value in MOMENTS),
    *(
        Case(f"index {text}", "pin", PIN.replace('"index": 1', f'"index": {text}'), "index: expected")
        for text in ("1.0", "1e0", "1e400")
    ),
    *(Case(f"latitude {text}", "geo", geo("1.5", text), "latitude: expected a number") for text in ("1e400", "-1e400")),
    *(
        Case(f"{other} as {table}", table, record(other), "the key is missing")
        for table in RECORDS
        for other in RECORDS
        if other != table
    ),
    Case("a key in capitals", "geo", geo('"country"', '"Country"'), "country: the key is missing"),
    Case("a key with a blank", "geo", geo('"country"', '"country "'), "country: the key is missing"),
    Case("ind for index", "pin", PIN.replace('"index"', '"ind"'), "index: the key is missing"),
    Case("an empty object", "geo", "{}", "ind: the key is missing"),
    Case("keys inside another", "geo", json.dumps({"value": RECORDS["geo"]}), "ind: the key is missing"),
    Case("broken UTF-8", "geo", BAD_BYTES, "not UTF-8"),
    Case("UTF-16", "geo", GEO.encode("utf-16"), "not UTF-8"),
    Case("a surrogate in UTF-8", "geo", GEO.encode().replace(b"Chad", b"\xed\xa0\x80"), "not UTF-8"),
]
FITTING = [
    Case("extra keys", "geo", record("geo", extra=1, more="x")),
    Case("an extra key of the other letter case", "geo", record("geo", Country=1)),
    Case("nested objects in an extra key", "geo", record("geo", extra={"ind": -1, "list": [{"country": None}, []]})),
    Case("a dotted extra key", "geo", record("geo", **{"country.name": 1, "a b": 2, "": 3, "$[0]": 4})),
    Case("keys in another order", "geo", json.dumps(dict(reversed(RECORDS["geo"].items())))),
    Case("blanks between the tokens", "geo", json.dumps(RECORDS["geo"], indent="\t").replace("\n", " ")),
    Case("blanks around, and a carriage return", "geo", f"  {GEO} \r"),
    Case("escapes in texts and keys", "geo", geo("Chad", "\\u0043h\\u0061d").replace("country", "co\\u0075ntry")),
    Case("a number with an exponent", "geo", geo("1.5", "15e-1")),
    Case("a number with many digits", "geo", geo("1.5", "1.5" + "0" * 60)),
    Case("one megabyte in an extra key", "geo", record("geo", extra="x" * 1_000_000)),
]


@pytest.fixture(scope="module")
def judged(spark: SparkSession) -> dict[str, Judged]:
    return judge(spark, CASES + FITTING)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_goes_to_the_quarantine_with_its_reason(case: Case, judged: dict[str, Judged]) -> None:
    found = judged[case.name]
    assert found.row is None
    assert case.expected in (found.reason or "")


@pytest.mark.parametrize("case", FITTING, ids=lambda case: case.name)
def test_fits_and_changes_nothing(case: Case, judged: dict[str, Judged]) -> None:
    found = judged[case.name]
    assert found.reason is None
    assert found.row is not None
    assert {**found.row, "timestamp": None} == {
        "ind": 1, "country": "Chad", "coordinates": [1.5, -2.25], "timestamp": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def quarantined(spark: SparkSession) -> dict[str, dict[str, Any]]:
    """The lines of the quarantine by case, of all the cases of geo."""
    mine = [case for case in CASES + FITTING if case.table == "geo"]
    lines = cleaned(spark, "geo", [case.raw for case in mine]).quarantined.toArrow().to_pylist()
    return {mine[int(line["position"])].name: line for line in lines}


def test_the_quarantine_has_the_raw_records_and_no_others(quarantined: dict[str, dict[str, Any]]) -> None:
    expected = {case.name: case.raw for case in CASES if case.table == "geo"}
    raw = {name: line["raw_bytes"] or line["raw"].encode("utf-8") for name, line in quarantined.items()}
    assert raw == expected


def test_only_what_is_not_utf8_has_its_bytes_too(quarantined: dict[str, dict[str, Any]]) -> None:
    with_bytes = {name for name, line in quarantined.items() if line["raw_bytes"] is not None}
    assert with_bytes == {"broken UTF-8", "UTF-16", "a surrogate in UTF-8"}
    assert quarantined["broken UTF-8"]["raw"] == GEO.replace("Chad", "Ch\ufffd\ufffdad")


def test_the_quarantine_has_table_place_and_time(spark: SparkSession) -> None:
    bad = cleaned(spark, "user", [USER.encode(), b"[]"]).quarantined
    assert bad.toArrow().to_pylist() == [
        {
            "table": "user",
            "source": "somewhere",
            "position": "1",
            "time": ARRIVED,
            "reason": "not a JSON object",
            "raw": "[]",
            "raw_bytes": None,
        }
    ]
