"""The oracle: cleaned tables and answers from the source's rows, by sections 6 and 7 of the contract alone.

It shares no code with the product: rows as the database gives them go in, DuckDB computes, Python values come out
(timestamps as naive datetimes in UTC, coordinates as a list of two floats).

>>> sorted(answers([], [], []))
['q1', 'q2', 'q2b', 'q3a', 'q3b', 'q4', 'q5', 'q6', 'q7', 'q8']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

import duckdb
import pyarrow as pa

SourceRow = Mapping[str, Any] | Sequence[Any]
Rows = list[tuple[Any, ...]]

_SOURCE = {
    "pin": {
        "index": pa.int64(), "unique_id": pa.string(), "title": pa.string(), "description": pa.string(),
        "poster_name": pa.string(), "follower_count": pa.string(), "tag_list": pa.string(),
        "is_image_or_video": pa.string(), "image_src": pa.string(), "downloaded": pa.int64(),
        "save_location": pa.string(), "category": pa.string(),
    },
    "geo": {
        "ind": pa.int64(), "timestamp": pa.timestamp("us"), "latitude": pa.float64(), "longitude": pa.float64(),
        "country": pa.string(),
    },
    "user": {
        "ind": pa.int64(), "first_name": pa.string(), "last_name": pa.string(), "age": pa.int64(),
        "date_joined": pa.timestamp("us"),
    },
}  # fmt: skip

_CLEAN = r"""
-- A text of nothing but ASCII white space and U+00A0 is null.
CREATE MACRO filled(value) AS CASE WHEN regexp_full_match(value, '[ \t\n\x0B\f\r\x{A0}]*') THEN NULL ELSE value END;
CREATE MACRO number(value) AS CASE
    WHEN regexp_full_match(value, '[0-9]{1,18}[kM]?') THEN
        CAST(regexp_extract(value, '^[0-9]+') AS HUGEINT)
        * CASE right(value, 1) WHEN 'k' THEN 1000 WHEN 'M' THEN 1000000 ELSE 1 END
END;
CREATE MACRO fitting(value) AS CASE WHEN value <= 2147483647 THEN CAST(value AS INTEGER) END;

CREATE TABLE pin AS SELECT DISTINCT
    CAST("index" AS INTEGER) AS ind,
    filled(unique_id) AS unique_id,
    filled(nullif(title, 'No Title Data Available')) AS title,
    filled(CASE WHEN description NOT IN ('No description available Story format', 'No description available')
        THEN description END) AS description,
    fitting(number(follower_count)) AS follower_count,
    filled(nullif(poster_name, 'User Info Error')) AS poster_name,
    filled(nullif(tag_list, 'N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e')) AS tag_list,
    filled(is_image_or_video) AS is_image_or_video,
    filled(nullif(image_src, 'Image src error.')) AS image_src,
    filled(CASE WHEN starts_with(save_location, 'Local save in ')
        THEN substr(save_location, length('Local save in ') + 1) ELSE save_location END) AS save_location,
    filled(category) AS category
FROM source_pin;

CREATE TABLE geo AS SELECT DISTINCT
    CAST(ind AS INTEGER) AS ind,
    filled(country) AS country,
    CASE WHEN latitude IS NOT NULL AND longitude IS NOT NULL THEN [latitude, longitude] END AS coordinates,
    "timestamp"
FROM source_geo;

CREATE TABLE "user" AS SELECT DISTINCT
    CAST(ind AS INTEGER) AS ind,
    filled(first_name) || ' ' || filled(last_name) AS user_name,
    CAST(age AS INTEGER) AS age,
    date_joined
FROM source_user;
"""

# One row per ind: the greatest, columns from left to right, null lowest.
_ONE_PER_IND = """
CREATE TABLE {table}_table AS SELECT * FROM "{table}"
QUALIFY row_number() OVER (PARTITION BY ind ORDER BY {order}) = 1
"""

_POSTS = """
CREATE VIEW post AS SELECT *,
    CASE WHEN age BETWEEN 18 AND 24 THEN 1 WHEN age BETWEEN 25 AND 35 THEN 2
         WHEN age BETWEEN 36 AND 50 THEN 3 WHEN age >= 51 THEN 4 END AS age_place,
    CASE age_place WHEN 1 THEN '18-24' WHEN 2 THEN '25-35' WHEN 3 THEN '36-50' WHEN 4 THEN '+50' END AS age_group,
    year("timestamp") AS posted, year(date_joined) AS joined
FROM pin_table JOIN geo_table USING (ind) JOIN user_table USING (ind)
"""

_QUESTIONS = {
    "q1": """
        WITH counted AS (SELECT country, category, count(*) AS n FROM post
            WHERE country IS NOT NULL AND category IS NOT NULL GROUP BY ALL)
        SELECT country, category, n FROM counted
        WHERE (country, n) IN (SELECT (country, max(n)) FROM counted GROUP BY country) ORDER BY ALL""",
    "q2": """
        SELECT posted, category, count(*) AS n FROM post
        WHERE posted BETWEEN 2018 AND 2022 AND category IS NOT NULL GROUP BY ALL ORDER BY posted, n DESC, category""",
    "q2b": """
        WITH counted AS (SELECT posted, category, count(*) AS n FROM post
            WHERE posted BETWEEN 2018 AND 2022 AND category IS NOT NULL GROUP BY ALL)
        SELECT posted, category, n FROM counted
        WHERE (posted, n) IN (SELECT (posted, max(n)) FROM counted GROUP BY posted) ORDER BY ALL""",
    "q3a": """
        WITH users AS (SELECT country, poster_name, max(follower_count) AS n FROM post
            WHERE country IS NOT NULL AND poster_name IS NOT NULL AND follower_count IS NOT NULL GROUP BY ALL)
        SELECT country, poster_name, n FROM users
        WHERE (country, n) IN (SELECT (country, max(n)) FROM users GROUP BY country) ORDER BY ALL""",
    "q3b": """
        WITH users AS (SELECT country, follower_count AS n FROM post
            WHERE country IS NOT NULL AND poster_name IS NOT NULL AND follower_count IS NOT NULL)
        SELECT DISTINCT country, n FROM users WHERE n = (SELECT max(n) FROM users) ORDER BY ALL""",
    "q4": """
        WITH counted AS (SELECT age_place, age_group, category, count(*) AS n FROM post
            WHERE age_place IS NOT NULL AND category IS NOT NULL GROUP BY ALL)
        SELECT age_group, category, n FROM counted
        WHERE (age_place, n) IN (SELECT (age_place, max(n)) FROM counted GROUP BY age_place)
        ORDER BY age_place, category, n""",
    "q5": """
        WITH users AS (SELECT age_place, age_group, poster_name, max(follower_count) AS n FROM post
            WHERE age_place IS NOT NULL AND poster_name IS NOT NULL AND follower_count IS NOT NULL GROUP BY ALL)
        SELECT age_group, median(n) FROM users GROUP BY age_place, age_group ORDER BY age_place""",
    "q6": """
        SELECT joined, count(DISTINCT poster_name) FROM post
        WHERE joined BETWEEN 2015 AND 2020 AND poster_name IS NOT NULL GROUP BY ALL ORDER BY ALL""",
    "q7": """
        WITH users AS (SELECT joined, poster_name, max(follower_count) AS n FROM post
            WHERE joined BETWEEN 2015 AND 2020 AND poster_name IS NOT NULL AND follower_count IS NOT NULL GROUP BY ALL)
        SELECT joined, median(n) FROM users GROUP BY ALL ORDER BY ALL""",
    "q8": """
        WITH users AS (SELECT age_place, age_group, joined, poster_name, max(follower_count) AS n FROM post
            WHERE age_place IS NOT NULL AND joined BETWEEN 2015 AND 2020
            AND poster_name IS NOT NULL AND follower_count IS NOT NULL GROUP BY ALL)
        SELECT age_group, joined, median(n) FROM users GROUP BY age_place, age_group, joined
        ORDER BY age_place, joined""",
}


def tables(*sources: Sequence[SourceRow]) -> dict[str, Rows]:
    """The cleaned tables `pin`, `geo`, `user`, one row per ind, sorted by it, columns as in section 6.

    ``sources`` are the rows of each table, in that order: mappings, or sequences in `SELECT *` order. Any subset of the
    source's rows will do, with repetitions.
    """
    with _cleaned(*sources) as connection:
        return {name: connection.execute(f"SELECT * FROM {name}_table ORDER BY ind").fetchall() for name in _SOURCE}


def answers(*sources: Sequence[SourceRow]) -> dict[str, Rows]:
    """The ten answers of section 7 from the same rows, rows and columns in the contract's order."""
    with _cleaned(*sources) as connection:
        connection.execute(_POSTS)
        return {name: connection.execute(query).fetchall() for name, query in _QUESTIONS.items()}


def compare(expected: Sequence[Sequence[Any]], actual: Sequence[Sequence[Any]], limit: int = 10) -> list[str]:
    """Readable differences, row by row in order; none if the two are equal. A float equals only the same float."""
    counts = [] if len(expected) == len(actual) else [f"{len(expected)} rows expected, {len(actual)} found"]
    wrong = [
        f"row {place}: expected {_shown(wanted)}, found {_shown(found)}"
        for place, (wanted, found) in enumerate(zip_longest(expected, actual))
        if wanted is None or found is None or not _same(tuple(wanted), tuple(found))
    ]
    more = [f"… and {len(wrong) - limit} more rows"] if len(wrong) > limit else []
    return [*counts, *wrong[:limit], *more]


def _cleaned(*sources: Sequence[SourceRow]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET default_collation = 'binary'")  # texts by their UTF-8 bytes
    if len(sources) < 3:
        raise TypeError("rows of pin, geo and user are needed")
    given = [*sources, *[()] * (len(_SOURCE) - len(sources))]
    for (name, columns), rows in zip(_SOURCE.items(), given, strict=True):
        values = [[row[c] for c in columns] if isinstance(row, Mapping) else list(row[: len(columns)]) for row in rows]
        arrays = [
            pa.array([_typed(row[place], kind) for row in values], type=kind)
            for place, kind in enumerate(columns.values())
        ]
        connection.register(f"source_{name}", pa.table(arrays, names=list(columns)))
    connection.execute(_CLEAN)
    for table in _SOURCE:
        names = [name for (name, *_) in connection.execute(f'DESCRIBE "{table}"').fetchall()]
        order = ", ".join(f'"{name}" DESC NULLS LAST' for name in names)
        connection.execute(_ONE_PER_IND.format(table=table, order=order))
    return connection


def _typed(value: Any, kind: pa.DataType) -> Any:
    """A source value in its column's type: dates may be texts in either form, a follower count a number."""
    if value is None:
        return None
    if pa.types.is_timestamp(kind) and isinstance(value, str):
        return datetime.fromisoformat(value)
    if pa.types.is_string(kind):
        return str(value)
    return value


def _same(wanted: tuple[Any, ...], found: tuple[Any, ...]) -> bool:
    """Equal in value and kind: 1 is not 1.0, for a column's type is part of the contract."""
    return len(wanted) == len(found) and all(
        type(a) is type(b) and (_same(tuple(a), tuple(b)) if isinstance(a, list) else a == b)
        for a, b in zip(wanted, found, strict=True)
    )


def _shown(row: Sequence[Any] | None) -> str:
    return "no row" if row is None else "(" + ", ".join(repr(value) for value in row) + ")"
