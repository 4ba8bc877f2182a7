"""SQL cells: statements and parameters."""

from __future__ import annotations

import datetime
import decimal

import pytest

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
        (datetime.datetime(2020, 1, 2, 3, 4), "TIMESTAMP'2020-01-02 03:04:00'"),
        (["a\\b", 1], "array('a\\\\b', 1)"),
        ({"k": 1}, "map('k', 1)"),
    ],
)
def test_literals(value: object, sql: str) -> None:
    assert literal(value) == sql
