"""SQL cells: statements and parameters."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest
from pyspark.sql.connect.functions import array, col, lit, struct

from services.databricks.notebook.sql import bind, literal, statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1", ["select 1"]),
        ("select 1;\nselect 2;\n", ["select 1", "select 2"]),
        (
            "select ';', \";\", `;` -- ;\n; /* ; */ select 'it\\'s;'",
            ["select ';', \";\", `;` -- ;", "/* ; */ select 'it\\'s;'"],
        ),
        ("-- nothing;\n;", []),
        ("begin\n select 1; select 2;\nend;", ["begin\n select 1; select 2;\nend"]),
    ],
)
def test_statements_end_at_semicolons(text: str, expected: list[str]) -> None:
    assert statements(text) == expected


def test_named_parameters_are_put_in_outside_of_quotes() -> None:
    bound = bind("select :a, ':a', x:a, y::a, :ab -- :a\n", {"a": "it's"})
    assert bound == "select 'it\\'s', ':a', x:a, y::a, :ab -- :a\n"


def test_positional_parameters() -> None:
    assert bind("select ? + ?, '?'", [1, 2.5]) == "select 1 + 2.5D, '?'"
    with pytest.raises(ValueError, match="more \\? than values"):
        bind("select ?, ?", [1])


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (1 << 40, "1099511627776L"),
        (float("nan"), "double('nan')"),
        (decimal.Decimal("1.50"), "1.50BD"),
        (datetime.date(2020, 1, 2), "DATE'2020-01-02'"),
        (datetime.datetime(2020, 1, 2, 3, 4, tzinfo=datetime.UTC), "TIMESTAMP'2020-01-02 03:04:00+00:00'"),
        (
            datetime.datetime(2020, 1, 2, 3, 4, 5, 6, datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
            "TIMESTAMP'2020-01-01 21:34:05.000006+00:00'",
        ),
        (datetime.timedelta(days=-1, seconds=5, microseconds=7), "INTERVAL '-0 23:59:54.999993' DAY TO SECOND"),
        (datetime.time(1, 2, 3, 4), "TIME'01:02:03.000004'"),
        (b"\x01\xff", "X'01ff'"),
        (bytearray(), "X''"),
        (-(1 << 31), "-2147483648"),
        (-(1 << 63), "-9223372036854775808L"),
        (decimal.Decimal("-1E+3"), "-1000BD"),
        ("${user.home} {a}\0" + "12", "'\\u0024\\u007buser.home\\u007d \\u007ba\\u007d\\u000012'"),
        (lit(-5), "-5"),
        (array(lit("a"), lit(None)), "array('a', NULL)"),
        (struct(lit(1).alias("a`b")), "struct(1 AS `a``b`)"),
        (np.int8(-3), "-3Y"),
        (np.array([1, 2], "int16"), "CAST(array(1S, 2S) AS array<smallint>)"),
        (["a\\b", 1], "array('a\\\\b', 1)"),
        ({"k": 1}, "map('k', 1)"),
    ],
)
def test_literals(value: object, sql: str) -> None:
    assert literal(value) == sql


@pytest.mark.parametrize("value", [1 << 63, decimal.Decimal("NaN"), object(), col("a"), lit(1) + 1])
def test_what_has_no_literal_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        literal(value)


@pytest.mark.parametrize(
    ("statement", "bound"),
    [
        ("select 10-:n", "select 10- -5"),
        ("select 10 :n, id :n, f(1):n", "select 10 (-5), id (-5), f(1):n"),
        ("select a between :n and :n", "select a between (-5) and (-5)"),
        ("select interval :n day, p=:n*2", "select interval -5 day, p= -5 *2"),
        ("select :n::string, :`n`,(:n)", "select (-5) ::string, -5,(-5)"),
        ("select 'it''s :s', r'\\', :s", "select 'it''s :s', r'\\', 'x'"),
        ('select "\\" :s", R"\\",:s', 'select "\\" :s", R"\\",\'x\''),
        ("select /* :s /* :s */ :s */ :s -- :s \\\n :s\n", "select /* :s /* :s */ :s */ 'x' -- :s \\\n :s\n"),
        ("select /*+ coalesce(:n) */* from t", "select /*+ coalesce(-5) */* from t"),
        ("select `a :s`, `a`:s, a[0]:s, r:s", "select `a :s`, `a`:s, a[0]:s, r:s"),
        ("select :other, x::s", "select :other, x::s"),
        ("select r :s,x :s", "select r 'x',x 'x'"),
    ],
)
def test_a_value_never_joins_with_its_surroundings(statement: str, bound: str) -> None:
    assert bind(statement, {"n": -5, "s": "x"}) == bound
