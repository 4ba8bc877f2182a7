"""%sql: statements of a cell, parameters of a statement, and the widget commands that only Databricks has."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .widgets import Widgets

TOKEN = re.compile(
    r"""'(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | `[^`]*` | --[^\n]* | /\*.*?\*/ | :: | [\w)\]]:\w+ | :\w+ | [;?] | .""",
    re.VERBOSE | re.DOTALL,
)
CREATE_WIDGET = re.compile(
    r"create\s+widget\s+(text|dropdown|combobox|multiselect)\s+(`?[\w.]+`?)\s+default\s+(['\"])(.*?)\3"
    r"(?:\s+choices\s+(.*))?\Z",
    re.IGNORECASE | re.DOTALL,
)
REMOVE_WIDGET = re.compile(r"remove\s+widget\s+(`?[\w.]+`?)\Z", re.IGNORECASE)


def statements(text: str) -> list[str]:
    """Statements between semicolons; those in quotes and comments do not count. A BEGIN ... END script is one."""
    if re.match(r"\s*begin\b(?!\s*(?:transaction|work|;))", text, re.IGNORECASE):
        return [text.strip().removesuffix(";")]
    parts = [""]
    for token in TOKEN.findall(text):
        if token == ";":
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts if _without_comments(part).strip()]


def run(text: str, spark: Any, widgets: Widgets) -> Any:
    """Run all statements; the DataFrame of the last one, None if that was a widget command or there is none."""
    result = None
    for statement in statements(text):
        result = _run_one(statement, spark, widgets)
    return result


def _run_one(statement: str, spark: Any, widgets: Widgets) -> Any:
    bare = _without_comments(statement).strip()
    if found := CREATE_WIDGET.match(bare):
        kind, name, _, default, choices = found.groups()
        define: Callable[..., None] = getattr(widgets, kind.lower())
        if kind.lower() == "text":
            define(name.strip("`"), default)
        else:
            define(name.strip("`"), default, _choices(choices or "", spark))
        return None
    if found := REMOVE_WIDGET.match(bare):
        widgets.remove(found[1].strip("`"))
        return None
    return spark.sql(bind(widgets.fill_in(statement), widgets.getAll()))


def bind(statement: str, arguments: Mapping[str, Any] | Sequence[Any]) -> str:
    """A statement with the values of its :name or ? parameter markers in their place, as literals.

    Spark does it on the server, but not where Delta's parser stands before Spark's (Delta 4.4 with Spark 4.2: every
    marker is "unbound" there). Raises ValueError if values for ? are missing.
    """
    named: Mapping[str, Any] = arguments if isinstance(arguments, Mapping) else {}
    positional: Iterator[Any] = iter(()) if isinstance(arguments, Mapping) else iter(arguments)
    parts = []
    for token in TOKEN.findall(statement):
        if token.startswith(":") and token[1:] in named:
            token = literal(named[token[1:]])
        elif token == "?" and not isinstance(arguments, Mapping):
            try:
                token = literal(next(positional))
            except StopIteration:
                raise ValueError(f"more ? than values in {statement!r}") from None
        parts.append(token)
    return "".join(parts)


def literal(value: Any) -> str:
    """A Python value as SQL. Raises ValueError for a type that has no literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, int):
        return f"{value}L" if abs(value) >= 1 << 31 else str(value)
    if isinstance(value, float):
        return f"{value!r}D" if math.isfinite(value) else f"double('{value}')"
    if isinstance(value, decimal.Decimal):
        return f"{value:f}BD"
    if isinstance(value, datetime.datetime):
        return f"TIMESTAMP'{value.isoformat(' ')}'"
    if isinstance(value, datetime.date):
        return f"DATE'{value.isoformat()}'"
    if isinstance(value, Mapping):
        return f"map({', '.join(literal(each) for pair in value.items() for each in pair)})"
    if isinstance(value, Sequence):
        return f"array({', '.join(map(literal, value))})"
    raise ValueError(f"a parameter of type {type(value).__name__} cannot be put into a SQL statement")


def _choices(text: str, spark: Any) -> list[str]:
    if re.match(r"\s*(select|with)\b", text, re.IGNORECASE):
        return [str(row[0]) for row in spark.sql(text).limit(1024).collect()]
    return re.findall(r"['\"](.*?)['\"]", text)


def _without_comments(text: str) -> str:
    return "".join(token for token in TOKEN.findall(text) if not token.startswith(("--", "/*")))
