"""The ten questions on hand-made rows: section 7 of the contract.

A post of these rows holds only what a test gives it; what it lacks is null and so takes no part in the other questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from pinterest.questions import ask, join
from pinterest.registry import TABLES

Answers = dict[str, list[tuple[Any, ...]]]
COLUMNS = {
    "q1": ["country", "category", "category_count"],
    "q2": ["post_year", "category", "category_count"],
    "q2b": ["post_year", "category", "category_count"],
    "q3a": ["country", "poster_name", "follower_count"],
    "q3b": ["country", "follower_count"],
    "q4": ["age_group", "category", "category_count"],
    "q5": ["age_group", "median_follower_count"],
    "q6": ["post_year", "number_users_joined"],
    "q7": ["post_year", "median_follower_count"],
    "q8": ["age_group", "post_year", "median_follower_count"],
}
BY_BYTES = ["Z", "Zz", "a", "a b", "é", "ש", "ｚ", "𝐒"]
"""By UTF-8 bytes. By UTF-16 units the last two would change places, and a locale would put Z after a."""


def post(**given: Any) -> dict[str, Any]:
    return given


def number(count: int, **given: Any) -> list[dict[str, Any]]:
    return [given] * count


def year(posted: int) -> datetime:
    return datetime(posted, 6, 7, tzinfo=UTC)


MOST_POPULAR_BY_COUNTRY = [
    *number(3, country="Chad", category="art"),
    *number(2, country="Chad", category="travel"),
    *number(2, country="Tie", category="𝐒"),
    *number(2, country="Tie", category="ｚ"),
    *number(2, country="Tie", category="Z"),
    *number(1, country="Tie", category="art"),
    *number(5, country="Nulls", category=None),
    *number(1, country="Nulls", category="art"),
    *number(9, country=None, category="art"),
    *number(1, country="Only nulls", category=None),
    *(post(country=name, category="art") for name in reversed(BY_BYTES)),
]
BY_YEAR = [
    *number(2, posted=year(2018), category="b"),
    *number(2, posted=year(2018), category="a"),
    *number(3, posted=year(2018), category="c"),
    *number(1, posted=year(2018), category="Z"),
    post(posted=datetime(2020, 1, 1, 0, 0, 0, tzinfo=UTC), category="first second"),
    post(posted=datetime(2020, 12, 31, 23, 59, 59, tzinfo=UTC), category="last second"),
    post(posted=datetime(2017, 12, 31, 23, 59, 59, tzinfo=UTC), category="too early"),
    post(posted=datetime(2023, 1, 1, 0, 0, 0, tzinfo=UTC), category="too late"),
    *number(7, posted=year(2022), category=None),
    post(posted=year(2022), category="art"),
    *number(8, posted=None, category="art"),
]
TOP_USERS = [
    post(country="Peru", poster_name="ann", follower_count=5),
    post(country="Peru", poster_name="ann", follower_count=7),
    post(country="Peru", poster_name="bob", follower_count=6),
    post(country="Peru", poster_name=None, follower_count=100),
    post(country="Peru", poster_name="nil", follower_count=None),
    *(post(country="Mali", poster_name=name, follower_count=9) for name in reversed(BY_BYTES)),
    post(country="Mali", poster_name="low", follower_count=8),
    post(country="Uncounted", poster_name="cid", follower_count=None),
    post(country="Nobody", poster_name=None, follower_count=3),
    post(country="Zero", poster_name="dan", follower_count=0),
    post(country=None, poster_name="eve", follower_count=1_000_000),
    # The same user in two countries, and the greatest of all there twice.
    post(country="Oman", poster_name="fay", follower_count=15_000_000),
    post(country="Oman", poster_name="fay", follower_count=15_000_000),
    post(country="Iran", poster_name="fay", follower_count=15_000_000),
    post(country="Oman", poster_name="gus", follower_count=15_000_000),
]
AGES = [
    *(post(age=age, category="edge", poster_name=f"edge {age}") for age in (18, 24, 25, 35, 36, 50, 51, 150)),
    *number(9, age=17, category="art"),
    *number(9, age=0, category="art"),
    *number(9, age=None, category="art"),
    *number(2, age=20, category="Z"),
    post(age=36, category="tattoos"),
    *number(2, age=40, category="tattoos"),
    *number(9, age=60, category=None),
]
MEDIANS = [
    *(post(age=18, poster_name=f"young {n}", follower_count=n) for n in (1, 2, 1_000)),
    # Per group and user the greatest count: this one is 10, not 2 or 3 or their mean.
    *(post(age=25, poster_name="often", follower_count=n) for n in (2, 3, 10, None)),
    post(age=30, poster_name="once", follower_count=5),
    post(age=35, poster_name="uncounted", follower_count=None),
    post(age=35, poster_name=None, follower_count=1_000_000),
    post(age=50, poster_name="largest", follower_count=2_147_483_647),
    post(age=36, poster_name="second", follower_count=2_147_483_646),
    post(age=17, poster_name="child", follower_count=4),
    post(age=None, poster_name="ageless", follower_count=4),
    # No count at all among those over fifty: no row.
    post(age=51, poster_name="quiet", follower_count=None),
]
JOINED = [
    *(
        post(joined=year(2015), poster_name=name, follower_count=count)
        for name, count in (("a", 1), ("b", 4), ("a", 2))
    ),
    post(joined=year(2015), poster_name=None, follower_count=50),
    post(joined=datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), poster_name="a", follower_count=7),
    post(joined=datetime(2017, 1, 1, tzinfo=UTC), poster_name="silent", follower_count=None),
    post(joined=datetime(2020, 12, 31, 23, 59, 59, tzinfo=UTC), poster_name="late", follower_count=0),
    post(joined=datetime(2014, 12, 31, 23, 59, 59, tzinfo=UTC), poster_name="early", follower_count=3),
    post(joined=datetime(2021, 1, 1, tzinfo=UTC), poster_name="after", follower_count=3),
    post(joined=year(2018), poster_name=None, follower_count=9),
    post(joined=None, poster_name="undated", follower_count=3),
]
JOINED_BY_AGE = [
    *(post(joined=year(2017), age=age, poster_name=f"p{age}", follower_count=age) for age in (51, 36, 25, 18, 19)),
    post(joined=year(2016), age=51, poster_name="p51", follower_count=1),
    post(joined=year(2016), age=20, poster_name="p20", follower_count=None),
    post(joined=year(2016), age=17, poster_name="p17", follower_count=5),
    post(joined=year(2016), age=None, poster_name="nobody's age", follower_count=5),
    post(joined=None, age=30, poster_name="p30", follower_count=5),
    post(joined=year(2014), age=30, poster_name="p30", follower_count=5),
]


def answers(spark: SparkSession, posts: Sequence[dict[str, Any]]) -> Answers:
    """The answers to all the questions about these posts, after the tables were joined."""
    pins, geos, users = [], [], []
    for ind, given in enumerate(posts):
        row: dict[str, Any] = dict.fromkeys(TABLES["pin"].cleaned) | given | {"ind": ind}
        pins.append(tuple(row[name] for name in TABLES["pin"].cleaned))
        geos.append((ind, given.get("country"), None, given.get("posted")))
        users.append((ind, "A User", given.get("age"), given.get("joined")))
    asked = ask(join(tables(spark, pin=pins, geo=geos, user=users)).persist())
    return {name: [tuple(row.values()) for row in rows.toArrow().to_pylist()] for name, rows in asked.items()}


def tables(spark: SparkSession, **rows: Sequence[tuple[Any, ...]]) -> dict[str, DataFrame]:
    return {name: spark.createDataFrame(rows.get(name, []), table.ddl) for name, table in TABLES.items()}


@pytest.fixture(scope="module")
def utc(spark: SparkSession) -> SparkSession:
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    return spark


@pytest.fixture(scope="module")
def asked(utc: SparkSession) -> Answers:
    """About the posts of q1, q2 and q3, which have no ages, and those of q6 and q7."""
    return answers(utc, [*MOST_POPULAR_BY_COUNTRY, *BY_YEAR, *TOP_USERS, *JOINED])


@pytest.fixture(scope="module")
def by_age(utc: SparkSession) -> Answers:
    return answers(utc, [*AGES, *MEDIANS])


def test_q1_the_greatest_count_per_country_with_all_ties_in_the_order_of_bytes(asked: Answers) -> None:
    expected = [
        ("Chad", "art", 3),
        ("Nulls", "art", 1),
        ("Tie", "Z", 2),
        ("Tie", "ｚ", 2),
        ("Tie", "𝐒", 2),
        *((name, "art", 1) for name in BY_BYTES),
    ]
    # All the countries here begin with an ASCII letter or are in BY_BYTES.
    assert asked["q1"] == sorted(expected, key=lambda row: (row[0].encode(), row[1].encode()))


def test_q2_by_year_then_count_descending_then_category(asked: Answers) -> None:
    assert asked["q2"] == [
        (2018, "c", 3),
        (2018, "a", 2),
        (2018, "b", 2),
        (2018, "Z", 1),
        (2020, "first second", 1),
        (2020, "last second", 1),
        (2022, "art", 1),
    ]


def test_q2b_the_greatest_of_each_year_with_all_ties(asked: Answers) -> None:
    assert asked["q2b"] == [(2018, "c", 3), (2020, "first second", 1), (2020, "last second", 1), (2022, "art", 1)]


def test_q3a_all_users_at_the_countrys_maximum(asked: Answers) -> None:
    assert asked["q3a"] == [
        ("Iran", "fay", 15_000_000),
        *(("Mali", name, 9) for name in BY_BYTES),
        ("Oman", "fay", 15_000_000),
        ("Oman", "gus", 15_000_000),
        ("Peru", "ann", 7),
        ("Zero", "dan", 0),
    ]


def test_q3b_each_country_at_the_top_once(asked: Answers) -> None:
    assert asked["q3b"] == [("Iran", 15_000_000), ("Oman", 15_000_000)]


def test_q4_the_most_popular_category_per_age_group_by_age(by_age: Answers) -> None:
    assert by_age["q4"] == [
        ("18-24", "Z", 2),
        ("18-24", "edge", 2),
        ("25-35", "edge", 2),
        ("36-50", "tattoos", 3),
        ("+50", "edge", 2),
    ]


def test_q5_exact_medians_of_odd_and_even_numbers_of_users(by_age: Answers) -> None:
    assert by_age["q5"] == [("18-24", 2.0), ("25-35", 7.5), ("36-50", 2_147_483_646.5)]
    assert all(isinstance(median, float) for _, median in by_age["q5"])


def test_q6_distinct_users_by_year_with_and_without_a_count(asked: Answers) -> None:
    assert asked["q6"] == [(2015, 2), (2016, 1), (2017, 1), (2020, 1)]


def test_q7_medians_by_the_year_of_joining(asked: Answers) -> None:
    assert asked["q7"] == [(2015, 3.0), (2016, 7.0), (2020, 0.0)]


def test_q8_medians_by_age_group_and_year_in_the_order_of_ages(utc: SparkSession) -> None:
    assert answers(utc, JOINED_BY_AGE)["q8"] == [
        ("18-24", 2017, 18.5),
        ("25-35", 2017, 25.0),
        ("36-50", 2017, 36.0),
        ("+50", 2016, 1.0),
        ("+50", 2017, 51.0),
    ]


def test_no_rows_give_answers_without_rows(utc: SparkSession) -> None:
    found = {name: rows.toArrow() for name, rows in ask(join(tables(utc))).items()}
    assert {name: table.column_names for name, table in found.items()} == COLUMNS
    assert [table.num_rows for table in found.values()] == [0] * 10


def test_a_post_is_in_all_three_tables(utc: SparkSession) -> None:
    pins = [(i, None, None, None, 1, "p", None, None, None, None, "art") for i in (1, 2, 4)]
    geos = [(i, "Chad", None, None) for i in (1, 3, 4)]
    users = [(i, None, 30, None) for i in (1, 2, 3)]
    assert join(tables(utc, pin=pins, geo=geos, user=users)).count() == 1


def test_the_answers_types(utc: SparkSession) -> None:
    types = {f.name: f.dataType.simpleString() for rows in ask(join(tables(utc))).values() for f in rows.schema}
    assert types == {
        "country": "string", "category": "string", "poster_name": "string", "age_group": "string", "post_year": "int",
        "follower_count": "int", "category_count": "bigint", "number_users_joined": "bigint",
        "median_follower_count": "double",
    }  # fmt: skip
