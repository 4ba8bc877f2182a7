"""The oracle itself is checked: hand-made rows with known answers, and a second computation in plain Python."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from statistics import median
from typing import Any

import pytest

from tests.oracle import Rows, answers, compare, tables

Row = dict[str, Any]


def pin(number: int, **changes: Any) -> Row:
    return {
        "index": number, "unique_id": f"u{number}", "title": "t", "description": "d", "poster_name": "ann",
        "follower_count": "1k", "tag_list": "a,b", "is_image_or_video": "image", "image_src": "https://x/y.jpg",
        "downloaded": 1, "save_location": "Local save in /data/art", "category": "art", **changes,
    }  # fmt: skip


def geo(number: int, **changes: Any) -> Row:
    base = {"ind": number, "timestamp": datetime(2020, 5, 6, 7, 8, 9), "latitude": 1.5, "longitude": -2.25}
    return {**base, "country": "Chad", **changes}


def user(number: int, **changes: Any) -> Row:
    base = {"ind": number, "first_name": "Ann", "last_name": "Lee", "age": 22}
    return {**base, "date_joined": datetime(2016, 1, 2, 3, 4, 5), **changes}


CLEANED_PIN = (
    "ind unique_id title description follower_count poster_name tag_list is_image_or_video image_src save_location "
    "category"
)


def cleaned_pin(column: str, value: Any) -> Any:
    (row,) = tables([pin(1, **{column: value})], [], [])["pin"]
    return dict(zip(CLEANED_PIN.split(), row, strict=True))[column]


def asked(*posts: tuple[Row, Row, Row]) -> dict[str, Rows]:
    """The answers for posts given as changes to the three rows; ind is the place."""
    pins, geos, users = zip(*posts, strict=True)
    return answers(
        [pin(number, **changes) for number, changes in enumerate(pins)],
        [geo(number, **changes) for number, changes in enumerate(geos)],
        [user(number, **changes) for number, changes in enumerate(users)],
    )


# --- cleaning ---------------------------------------------------------------------------------------------------------


def test_cleaned_rows_have_the_columns_of_the_contract_in_order() -> None:
    found = tables([pin(7)], [geo(7)], [user(7)])
    assert found["pin"] == [
        (7, "u7", "t", "d", 1000, "ann", "a,b", "image", "https://x/y.jpg", "/data/art", "art")
    ]  # fmt: skip
    assert found["geo"] == [(7, "Chad", [1.5, -2.25], datetime(2020, 5, 6, 7, 8, 9))]
    assert found["user"] == [(7, "Ann Lee", 22, datetime(2016, 1, 2, 3, 4, 5))]


def test_rows_may_be_sequences_in_the_order_of_the_source() -> None:
    as_rows = tables([pin(1)], [geo(1)], [user(1)])
    assert tables([tuple(pin(1).values())], [tuple(geo(1).values())], [tuple(user(1).values())]) == as_rows


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("title", "No Title Data Available"),
        ("description", "No description available Story format"),
        ("description", "No description available"),
        ("poster_name", "User Info Error"),
        ("follower_count", "User Info Error"),
        ("tag_list", "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e"),
        ("image_src", "Image src error."),
        ("is_image_or_video", ""),
        ("category", " \t\r\n\x0b\x0c\u00a0"),
        ("unique_id", "\u00a0"),
    ],
)
def test_a_placeholder_in_its_own_column_and_a_blank_text_are_null(column: str, text: str) -> None:
    assert cleaned_pin(column, text) is None


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("title", "Image src error."),
        ("description", "No description available "),
        ("title", " Untitled\n"),
        ("title", "…"),
        ("poster_name", "\u2003"),
        ("category", "Art."),
    ],
)
def test_every_other_text_stays_to_the_last_blank(column: str, text: str) -> None:
    assert cleaned_pin(column, text) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("437", 437), ("0", 0), ("12k", 12_000), ("5M", 5_000_000), (437, 437), ("2147M", 2_147_000_000),
        ("2148M", None), ("2147483647", 2_147_483_647), ("2147483648", None), ("99999999999999999999k", None),
        ("1.5k", None), ("12K", None), ("5m", None), (" 12k", None), ("-3", None), ("k", None), ("", None),
        (None, None), ("12k\n", None), ("٣", None),
    ],
)  # fmt: skip
def test_follower_counts(text: Any, number: int | None) -> None:
    assert cleaned_pin("follower_count", text) == number


def test_joined_columns_are_null_if_a_part_is() -> None:
    found = tables(
        [], [geo(1, latitude=None), geo(2, longitude=None)], [user(1, first_name=" "), user(2, last_name="")]
    )
    assert [row[2] for row in found["geo"]] == [None, None]
    assert [row[1] for row in found["user"]] == [None, None]


def test_of_rows_with_one_ind_the_greatest_is_kept_column_by_column_null_lowest() -> None:
    pins = [pin(1, unique_id="b", title=None), pin(1, unique_id="b", title="A"), pin(1, unique_id="a", title="Z")]
    geos = [geo(1, country="é"), geo(1, country="z"), geo(1, country=None)]
    users = [user(1, age=3), user(1, age=20), user(1, age=None), user(1, age=20)]
    found = tables(pins, geos, users)
    assert [row[1:3] for row in found["pin"]] == [("b", "A")]
    assert [row[1] for row in found["geo"]] == ["é"]  # by bytes, not by a dictionary's order
    assert [row[2] for row in found["user"]] == [20]


def test_dates_may_be_texts_in_either_form() -> None:
    found = tables([], [geo(1, timestamp="2020-05-06T07:08:09"), geo(2, timestamp="2020-05-06 07:08:09")], [])
    assert {row[3] for row in found["geo"]} == {datetime(2020, 5, 6, 7, 8, 9)}


# --- answers on hand-made posts ---------------------------------------------------------------------------------------


def test_only_posts_that_stand_in_all_three_tables_count() -> None:
    found = answers([pin(1), pin(2), pin(3)], [geo(1), geo(2)], [user(1), user(3)])
    assert found["q1"] == [("Chad", "art", 1)]


def test_a_post_sent_twice_counts_once() -> None:
    assert answers([pin(1)] * 2, [geo(1)] * 3, [user(1)])["q1"] == [("Chad", "art", 1)]


def test_q1_keeps_ties_and_leaves_null_groups_out() -> None:
    found = asked(
        ({"category": "art"}, {}, {}), ({"category": "beauty"}, {}, {}), ({"category": None}, {}, {}),
        ({"category": "art"}, {"country": None}, {}), ({"category": "art"}, {"country": "Åland"}, {}),
    )  # fmt: skip
    assert found["q1"] == [("Chad", "art", 1), ("Chad", "beauty", 1), ("Åland", "art", 1)]


def test_q2_is_sorted_by_year_then_count_downwards_and_q2b_has_its_tops() -> None:
    def at(year: int, category: str) -> tuple[Row, Row, Row]:
        return {"category": category}, {"timestamp": datetime(year, 12, 31, 23, 59, 59)}, {}

    found = asked(at(2017, "x"), at(2018, "a"), at(2018, "b"), at(2018, "b"), at(2022, "d"), at(2022, "c"))
    assert found["q2"] == [(2018, "b", 2), (2018, "a", 1), (2022, "c", 1), (2022, "d", 1)]
    assert found["q2b"] == [(2018, "b", 2), (2022, "c", 1), (2022, "d", 1)]


def test_q3_takes_a_user_s_greatest_count_and_keeps_ties() -> None:
    def by(name: str | None, count: str | None, country: str | None = "Chad") -> tuple[Row, Row, Row]:
        return {"poster_name": name, "follower_count": count}, {"country": country}, {}

    found = asked(
        by("ann", "1k"), by("ann", "5k"), by("bob", "5000"), by("cat", None), by(None, "9M"), by("dan", "8M", None),
        by("eve", "5k", "Fiji"), by("fay", None, "Guam"),
    )  # fmt: skip
    assert found["q3a"] == [("Chad", "ann", 5000), ("Chad", "bob", 5000), ("Fiji", "eve", 5000)]
    assert found["q3b"] == [("Chad", 5000), ("Fiji", 5000)]


def test_age_groups_have_their_bounds_and_their_order() -> None:
    ages = [17, 18, 24, 25, 35, 36, 50, 51, 150, None]
    found = asked(*(({}, {}, {"age": age}) for age in ages))
    assert found["q4"] == [("18-24", "art", 2), ("25-35", "art", 2), ("36-50", "art", 2), ("+50", "art", 2)]


def test_medians_are_over_users_and_the_mean_of_the_middle_two() -> None:
    def by(name: str | None, count: str | None, age: int, joined: int = 2015) -> tuple[Row, Row, Row]:
        return {"poster_name": name, "follower_count": count}, {}, {"age": age, "date_joined": datetime(joined, 1, 1)}

    found = asked(
        by("ann", "10", 20), by("ann", "10", 20), by("ann", "3", 20), by("bob", "13", 20), by("cat", None, 20),
        by(None, "99", 20), by("dan", "7", 60, 2020), by("eve", None, 30), by("fay", "4", 60, 2021),
    )  # fmt: skip
    assert found["q5"] == [("18-24", 11.5), ("+50", 5.5)]
    assert found["q6"] == [(2015, 4), (2020, 1)]
    assert found["q7"] == [(2015, 11.5), (2020, 7.0)]
    assert found["q8"] == [("18-24", 2015, 11.5), ("+50", 2020, 7.0)]
    assert isinstance(found["q5"][0][1], float)


# --- a second computation ---------------------------------------------------------------------------------------------

GROUPS = {"18-24": range(18, 25), "25-35": range(25, 36), "36-50": range(36, 51), "+50": range(51, 151)}
Post = tuple[Row, Row, Row]


def age_group(post: Post) -> str | None:
    return next((name for name, ages in GROUPS.items() if post[2]["age"] in ages), None)


def tops(posts: Iterable[Post], group: Callable[[Post], Any]) -> list[tuple[Any, str, int]]:
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for post in posts:
        if group(post) is not None and post[0]["category"]:
            counts[group(post)][post[0]["category"]] += 1
    return [(g, c, n) for g, found in counts.items() for c, n in found.items() if n == max(found.values())]


def per_user(posts: Iterable[Post], group: Callable[[Post], Any]) -> dict[Any, dict[str, int]]:
    greatest: dict[Any, dict[str, int]] = defaultdict(dict)
    for post in posts:
        name, count = post[0]["poster_name"], post[0]["follower_count"]
        if group(post) is not None and name and count:
            greatest[group(post)][name] = max(int(count), greatest[group(post)].get(name, 0))
    return greatest


def plain_python(posts: list[Post]) -> dict[str, Rows]:
    def country(post: Post) -> Any:
        return post[1]["country"]

    def posted(post: Post) -> Any:
        return year if 2018 <= (year := post[1]["timestamp"].year) <= 2022 else None

    def joined(post: Post) -> Any:
        return year if 2015 <= (year := post[2]["date_joined"].year) <= 2020 else None

    def both(post: Post) -> Any:
        return (age_group(post), joined(post)) if age_group(post) and joined(post) else None

    order = list(GROUPS)
    q2 = Counter((posted(p), p[0]["category"]) for p in posts if posted(p) and p[0]["category"])
    fans = per_user(posts, country)
    most = max((n for users in fans.values() for n in users.values()), default=None)
    members: dict[int, set[str]] = defaultdict(set)
    for post in posts:
        if joined(post) and post[0]["poster_name"]:
            members[joined(post)].add(post[0]["poster_name"])
    return {
        "q1": sorted(tops(posts, country)),
        "q2": sorted(((*key, n) for key, n in q2.items()), key=lambda row: (row[0], -row[2], row[1])),
        "q2b": sorted(tops(posts, posted)),
        "q3a": sorted((c, u, n) for c, users in fans.items() for u, n in users.items() if n == max(users.values())),
        "q3b": sorted((c, most) for c, users in fans.items() if most in users.values()),
        "q4": sorted(tops(posts, age_group), key=lambda row: (order.index(row[0]), *row[1:])),
        "q5": sorted(
            ((g, float(median(users.values()))) for g, users in per_user(posts, age_group).items()),
            key=lambda row: order.index(row[0]),
        ),
        "q6": sorted((year, len(names)) for year, names in members.items()),
        "q7": sorted((y, float(median(users.values()))) for y, users in per_user(posts, joined).items()),
        "q8": sorted(
            ((*key, float(median(users.values()))) for key, users in per_user(posts, both).items()),
            key=lambda row: (order.index(row[0]), row[1]),
        ),
    }


@pytest.mark.parametrize("seed", range(8))
def test_duckdb_and_plain_python_agree(seed: int) -> None:
    """Few values on many posts, so that ties, empty groups and even numbers of users abound."""
    draw = random.Random(seed)
    posts = [
        (
            pin(n, poster_name=draw.choice([None, *"abcdefgh"]), follower_count=draw.choice([None, "10", "20", "35"]),
                category=draw.choice([None, "art", "beauty", "Ärt"])),
            geo(n, country=draw.choice([None, "Chad", "Fiji", "Åland"]),
                timestamp=datetime(draw.randint(2017, 2023), 1, 1)),
            user(n, age=draw.choice([None, 17, 18, 24, 25, 35, 36, 50, 51]),
                 date_joined=datetime(draw.randint(2014, 2021), 1, 1)),
        )
        for n in range(draw.choice([0, 5, 40, 150]))
    ]  # fmt: skip
    found = answers([p[0] for p in posts], [p[1] for p in posts], [p[2] for p in posts])
    for question, expected in plain_python(posts).items():
        assert compare(expected, found[question]) == [], question


# --- compare ----------------------------------------------------------------------------------------------------------


def test_equal_rows_have_no_differences() -> None:
    rows = [(1, "a", [1.5, 2.5], datetime(2020, 1, 1)), (2, None, None, None)]
    assert compare(rows, [list(row) for row in rows]) == []


@pytest.mark.parametrize(
    "found", [[(1, "b")], [(1.0, "a")], [(1, None)], [(1, "a", 2)], [(True, "a")]], ids=repr
)  # fmt: skip
def test_a_difference_in_value_type_or_width_shows_both_rows(found: list[tuple[Any, ...]]) -> None:
    (difference,) = compare([(1, "a")], found)
    assert "row 0: expected (1, 'a'), found (" in difference


def test_missing_and_further_rows_are_told() -> None:
    assert compare([(1,), (2,)], [(1,)]) == ["2 rows expected, 1 found", "row 1: expected (2), found no row"]
    assert compare([], [(1,)]) == ["0 rows expected, 1 found", "row 0: expected no row, found (1)"]


def test_order_matters() -> None:
    assert len(compare([(1,), (2,)], [(2,), (1,)])) == 2


def test_a_long_list_of_differences_is_cut() -> None:
    assert compare([(n,) for n in range(30)], [(n + 1,) for n in range(30)], limit=3)[-1] == "… and 27 more rows"
