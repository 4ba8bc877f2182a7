"""What cleaning makes of the values of a record that fits: section 6 of the contract, "What changes"."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pinterest.registry import TABLES
from tests.unit.spark.records import Case, Judged, cleaned, judge, record

PLACEHOLDERS = {
    "No Title Data Available": {"title"},
    "No description available Story format": {"description"},
    "No description available": {"description"},
    "User Info Error": {"poster_name"},
    "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e": {"tag_list"},
    "Image src error.": {"image_src"},
}
PIN_TEXTS = [
    "unique_id", "title", "description", "poster_name", "tag_list", "is_image_or_video", "image_src", "save_location",
    "category",
]  # fmt: skip
BLANKS = {
    "empty": "", "space": " ", "tab": "\t", "newline": "\n", "vertical tab": "\v", "form feed": "\f", "return": "\r",
    "no-break space": "\u00a0", "mixture": " \u00a0\t\r\n\f\v\u00a0 ",
}  # fmt: skip
KEPT = {
    "blanks around": " a ", "no-break spaces around": "\u00a0a\u00a0", "trailing newline": "A title\n",
    "Untitled": "Untitled", "Art.": "Art.", "ellipsis": "…", "cut": "cut off…\u00a0", "quotes": "\"it's\", she\\said",
    "pipe": "Ann | Art", "null as a text": "null", "emoji": "👩‍👩‍👧 🎄", "letters": "Ж Ω ש 𝐒",
    "line separator": "a\u2028b", "other white space": "\u2003", "zero width space": "\u200b", "next line": "\u0085",
    "character 0": "a\u0000b",
    "placeholder and a blank": "No Title Data Available ", "placeholder in small letters": "no title data available",
    "a million letters": "é" * 500_000,
}  # fmt: skip
COUNTS: dict[Any, int | None] = {
    "437": 437, "12k": 12_000, "5M": 5_000_000, "0": 0, "0k": 0, "2147483647": 2_147_483_647, "2147483648": None,
    "2147483k": 2_147_483_000, "2147484k": None, "2147M": 2_147_000_000, "2148M": None, "9" * 40: None,
    "9" * 40 + "M": None,
    "12K": None, "5m": None, " 12k": None, "12k ": None, "12k\n": None, "12 k": None, "1.5k": None, "1,000": None,
    "-3": None, "+3": None, "": None, "k": None, "M": None, "12kM": None, "5B": None, "1e3": None, "٣k": None,
    "３": None,
    "NaN": None, "true": None, "User Info Error": None, 437: 437, 0: 0, 437.5: None, -3: None, 2_147_483_648: None,
    None: None,
}  # fmt: skip
LOCATIONS = {
    "Local save in /data/art": "/data/art",
    "/data/art": "/data/art",
    "Local save in Local save in /data/art": "Local save in /data/art",
    "Local save in  /data/art ": " /data/art ",
    "local save in /data/art": "local save in /data/art",
    " Local save in /data/art": " Local save in /data/art",
    "Local save in/data/art": "Local save in/data/art",
    None: None,
}
COORDINATES: dict[tuple[Any, Any], list[float] | None] = {
    (1.5, -2.25): [1.5, -2.25], (12, 0): [12.0, 0.0], (0.1, -179.123456): [0.1, -179.123456],
    (1e-7, 1e2): [1e-7, 100.0],
    (12.345678901234567, 1): [12.345678901234567, 1.0], (None, 1.5): None, (1.5, None): None, (None, None): None,
}  # fmt: skip
NAMES: dict[tuple[Any, Any], str | None] = {
    ("Ann", "Lee"): "Ann Lee", (" Ann", "Lee "): " Ann Lee ", ("Zoë", "O'Neil"): "Zoë O'Neil",
    ("User Info Error", "Lee"): "User Info Error Lee", (None, "Lee"): None, ("Ann", None): None, (None, None): None,
    ("", "Lee"): None, ("Ann", " \u00a0"): None,
}  # fmt: skip
MOMENTS: dict[Any, datetime | None] = {
    "2020-05-06T07:08:09": datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC),
    "2020-05-06 07:08:09": datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC),
    "2020-02-29T23:59:59": datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC),
    "2018-03-11T02:30:00": datetime(2018, 3, 11, 2, 30, tzinfo=UTC),  # no such time in New York
    "2018-11-04T01:30:00": datetime(2018, 11, 4, 1, 30, tzinfo=UTC),  # twice in New York
    "2018-01-01T00:00:00": datetime(2018, 1, 1, tzinfo=UTC),
    "1500-02-28 00:00:00": datetime(1500, 2, 28, tzinfo=UTC),
    "0001-01-02T00:00:00": datetime(1, 1, 2, tzinfo=UTC),
    "9999-12-30T23:59:59": datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC),
    None: None,
}
PLACES = (("geo", "timestamp"), ("user", "date_joined"))


def case(table: str, column: str, expected: Any, **changes: Any) -> Case:
    shown = " ".join(f"{key}={value!r}"[:60] for key, value in changes.items())
    return Case(f"{table} {shown}", table, record(table, **changes), expected, column)


CASES = [
    *(case("pin", c, None if c in own else text, **{c: text}) for text, own in PLACEHOLDERS.items() for c in PIN_TEXTS),
    *(case("geo", "country", text, country=text) for text in PLACEHOLDERS),
    *(case("pin", column, None, **{column: blank}) for column in PIN_TEXTS for blank in [*BLANKS.values(), None]),
    *(case("geo", "country", None, country=blank) for blank in [*BLANKS.values(), None]),
    *(case("pin", column, text, **{column: text}) for column in ("poster_name", "category") for text in KEPT.values()),
    *(case("pin", "title", text, title=text) for text in KEPT.values()),
    *(case("geo", "country", text, country=text) for text in KEPT.values()),
    *(case("pin", "follower_count", number, follower_count=text) for text, number in COUNTS.items()),
    *(case("pin", "save_location", path, save_location=text) for text, path in LOCATIONS.items() if text),
    *(case("geo", "coordinates", pair, latitude=a, longitude=b) for (a, b), pair in COORDINATES.items()),
    *(case("user", "user_name", name, first_name=a, last_name=b) for (a, b), name in NAMES.items()),
    *(case(table, name, moment, **{name: text}) for table, name in PLACES for text, moment in MOMENTS.items()),
    *(case("pin", "ind", ind, index=ind) for ind in (0, 2_147_483_647)),
    *(case(table, "ind", ind, ind=ind) for table in ("geo", "user") for ind in (0, 2_147_483_647)),
    *(case("user", "age", age, age=age) for age in (0, 17, 150, None)),
    *(case("pin", "title", "t", downloaded=value) for value in (0, 7, None)),
]


@pytest.fixture(scope="module")
def judged(spark: SparkSession) -> dict[str, Judged]:
    return judge(spark, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.column}: {case.name!a}")
def test_a_value_becomes(case: Case, judged: dict[str, Judged]) -> None:
    found = judged[case.name]
    assert found.reason is None
    assert found.row is not None
    value = found.row[case.column]
    assert (value, type(value)) == (case.expected, type(case.expected)) or (
        isinstance(case.expected, datetime) and value == case.expected
    )


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (
            "pin",
            "ind int, unique_id string, title string, description string, follower_count int, poster_name string, "
            "tag_list string, is_image_or_video string, image_src string, save_location string, category string",
        ),
        ("geo", "ind int, country string, coordinates array<double>, timestamp timestamp"),
        ("user", "ind int, user_name string, age int, date_joined timestamp"),
    ],
)
def test_a_cleaned_table_has_these_columns(spark: SparkSession, table: str, columns: str) -> None:
    rows = cleaned(spark, table, [record(table).encode()]).rows
    assert ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in rows.schema) == columns


def test_a_whole_record_of_each_table(spark: SparkSession) -> None:
    found = {table: cleaned(spark, table, [record(table).encode()]).rows.toArrow().to_pylist() for table in TABLES}
    assert [list(rows[0].values()) for rows in found.values()] == [
        [1, "u1", "t", "d", 1_000, "ann", "a,b", "image", "https://x/y.jpg", "/data/art", "art"],
        [1, "Chad", [1.5, -2.25], datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC)],
        [1, "Ann Lee", 22, datetime(2016, 1, 2, 3, 4, 5, tzinfo=UTC)],
    ]
