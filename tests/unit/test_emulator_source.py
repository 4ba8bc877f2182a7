"""Posts from a database: the same row of three tables, many a query, and errors that say what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine

from emulator.source import POSTS_PER_QUERY, Source, SourceError
from tests.contract.emulator.database import COLUMNS, change, create, geo, pin, user


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return create(tmp_path / "posts.db", range(20))


@pytest.fixture
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def test_a_post_is_the_same_row_of_the_three_tables(url: URL) -> None:
    (post,) = Source(url).posts([7])
    assert post.rows == [pin(7), geo(7), user(7)]


def test_columns_stand_in_the_order_of_the_tables(url: URL) -> None:
    (post,) = Source(url).posts([0])
    assert list(post.rows[0]) == list(pin(0))
    assert list(post.rows[1]) == ["ind", "timestamp", "latitude", "longitude", "country"]
    assert isinstance(post.rows[1]["timestamp"], datetime)


def test_posts_come_in_the_order_asked_for_also_twice(url: URL) -> None:
    assert [post.number for post in Source(url).posts([5, 3, 5, 19])] == [5, 3, 5, 19]


def test_many_posts_need_few_queries(tmp_path: Path, statements: list[str]) -> None:
    source = Source(create(tmp_path / "many.db", range(2 * POSTS_PER_QUERY)))
    statements.clear()
    assert len(list(source.posts(range(2 * POSTS_PER_QUERY)))) == 2 * POSTS_PER_QUERY
    assert len(statements) == 6


def test_posts_are_read_as_they_are_needed(url: URL) -> None:
    def without_end() -> Iterator[int]:
        while True:
            yield 4

    assert next(Source(url).posts(without_end())).number == 4


def test_numbers_that_do_not_start_at_zero_are_taken_by_their_place(tmp_path: Path) -> None:
    source = Source(create(tmp_path / "own.db", [3, 5, 100, 101, 900]))
    assert source.count == 5
    assert [post.number for post in source.posts([0, 1, 4])] == [3, 5, 900]


def test_a_range_of_rows_has_both_its_ends(url: URL) -> None:
    source = Source(url, rows=(4, 6))
    assert source.count == 3
    assert [post.number for post in source.posts([0, 1, 2])] == [4, 5, 6]


def test_a_number_that_stands_twice_is_one_post(url: URL) -> None:
    change(url, "INSERT INTO pinterest_data SELECT * FROM pinterest_data WHERE `index` = 3")
    assert Source(url).count == 20


def test_columns_beyond_the_contract_are_posted_along(url: URL) -> None:
    change(url, "ALTER TABLE user_data ADD COLUMN nickname TEXT DEFAULT 'x'")
    (post,) = Source(url).posts([0])
    assert post.rows[2]["nickname"] == "x"


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    url = create(tmp_path / "two.db", [1], {name: COLUMNS[name] for name in ("pinterest_data", "geolocation_data")})
    with pytest.raises(SourceError, match="table user_data is missing"):
        Source(url)


def test_a_missing_column_is_named_beside_those_there(tmp_path: Path) -> None:
    columns = COLUMNS | {"geolocation_data": COLUMNS["geolocation_data"].replace("ind INT", "`index` INT")}
    url = create(tmp_path / "other.db", [], columns)
    with pytest.raises(SourceError, match=r"geolocation_data lacks the column\(s\) ind; it has index, timestamp"):
        Source(url)


def test_an_empty_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="pinterest_data has no rows"):
        Source(create(tmp_path / "empty.db", []))


def test_a_range_without_rows_says_so(url: URL) -> None:
    with pytest.raises(SourceError, match="no rows from 20 to 30"):
        Source(url, rows=(20, 30))


@pytest.mark.parametrize("table", ["geolocation_data", "user_data"])
def test_a_row_that_one_table_lacks_is_named_before_anything_is_posted(url: URL, table: str) -> None:
    change(url, f"DELETE FROM {table} WHERE ind = 7")
    with pytest.raises(SourceError, match=rf"{table} lacks 1 row\(s\) .*: 7\n"):
        Source(url)


def test_a_row_that_only_the_first_table_lacks_is_named_too(url: URL) -> None:
    change(url, "DELETE FROM pinterest_data WHERE `index` IN (7, 9)")
    with pytest.raises(SourceError, match=r"pinterest_data lacks 2 row\(s\) .*: 7, 9\n"):
        Source(url)


def test_a_row_that_is_missing_outside_the_range_does_not_matter(url: URL) -> None:
    change(url, "DELETE FROM user_data WHERE ind = 7")
    assert Source(url, rows=(8, 19)).count == 12


def test_a_row_deleted_during_the_run_is_named(url: URL) -> None:
    source = Source(url)
    change(url, "DELETE FROM user_data WHERE ind = 7")
    with pytest.raises(SourceError, match="row 7 of user_data was deleted during this run"):
        list(source.posts([6, 7]))


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    url = URL.create("mysql+pymysql", "pinflow", "c4nary", "127.0.0.1", 1, "pinterest_data")
    with pytest.raises(SourceError, match=r"no connection.*Connection refused") as caught:
        Source(url)
    assert "c4nary" not in str(caught.value)
    assert "127.0.0.1:1/pinterest_data" in str(caught.value)


def test_an_unknown_driver_says_what_is_expected() -> None:
    with pytest.raises(SourceError, match=r"mysql\+pymysql"):
        Source(URL.create("nosuch", host="h"))


def test_a_database_that_goes_away_for_a_while_is_waited_for(url: URL) -> None:
    said: list[str] = []
    source = Source(url, give_up_after=10, say=said.append)
    change(url, "ALTER TABLE user_data RENAME TO away")
    back = threading.Timer(0.5, change, (url, "ALTER TABLE away RENAME TO user_data"))
    back.start()
    assert [post.number for post in source.posts([1, 2])] == [1, 2]
    back.join()
    assert len(said) == 1
    assert "retrying" in said[0]


def test_a_database_that_stays_away_ends_the_run(url: URL) -> None:
    source = Source(url, give_up_after=0.5)
    change(url, "ALTER TABLE user_data RENAME TO away")
    with pytest.raises(SourceError, match="no such table"):
        list(source.posts([1]))


def test_ctrl_c_ends_the_wait_for_a_database(url: URL) -> None:
    stop = threading.Event()
    source = Source(url, give_up_after=60, stop=stop)
    change(url, "ALTER TABLE user_data RENAME TO away")
    threading.Timer(0.3, stop.set).start()
    assert list(source.posts([1])) == []
