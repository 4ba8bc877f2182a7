"""%sql: statements of a cell, parameters of a statement, and the widget commands that only Databricks has."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import compat
from .widgets import Widgets, fill_in

# As in Spark's SqlBaseLexer.g4; comments that start with /* are in `_tokens`, because they nest.
TOKEN = re.compile(
    r"""[rR]'[^']*' | [rR]"[^"]*" | '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | `[^`]*` | --(?:\\\n|[^\r\n])* | /\*\+ | \*/
    | :: | :\w+ | :`[^`]*` | \w+ | .""",
    re.VERBOSE | re.DOTALL,
)
APART = " \t\r\n(),"
"""Next to these a literal needs no blank."""
COLLECTIONS = ("array", "map", "map_from_arrays", "map_from_entries", "named_struct", "struct")
"""Functions that Spark takes in a parameter, beside literals."""
SUFFIX = {"byte": "Y", "short": "S", "integer": "", "long": "L"}
EPOCH = datetime.datetime(1970, 1, 1)
CREATE_WIDGET = re.compile(
    r"create\s+widget\s+(text|dropdown|combobox|multiselect)\s+(`?[\w.]+`?)\s+default\s+(['\"])(.*?)\3"
    r"(?:\s+choices\s+(.*))?\Z",
    re.IGNORECASE | re.DOTALL,
)
REMOVE_WIDGET = re.compile(r"remove\s+widget\s+(`?[\w.]+`?)\Z", re.IGNORECASE)


def statements(text: str) -> list[str]:
    """Statements between semicolons; not those in quotes and comments. A BEGIN ... END script is one."""
    if re.match(r"\s*begin\b(?!\s*(?:transaction|work|;))", text, re.IGNORECASE):
        return [text.strip().removesuffix(";")]
    parts = [""]
    for token in _tokens(text):
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
        define(name.strip("`"), default, *([] if kind.lower() == "text" else [_choices(choices or "", spark)]))
        return None
    if found := REMOVE_WIDGET.match(bare):
        widgets.remove(found[1].strip("`"))
        return None
    return spark.sql(bind(fill_in(widgets, statement), widgets.getAll()))


def bind(statement: str, arguments: Mapping[str, Any] | Sequence[Any]) -> str:
    """A statement with its :name or ? parameter markers replaced by their values, as literals.

    Spark would do it on the server, but Delta's parser drops the values (compat.bind_parameters), and Spark 4.2 itself
    pastes -5 into `10-:x` so that a comment starts. A name in a string, a comment or a path (`column:name`) is no
    marker. Raises ValueError if values for ? are missing.
    """
    named: Mapping[str, Any] = arguments if isinstance(arguments, Mapping) else {}
    positional: Iterator[Any] | None = None if isinstance(arguments, Mapping) else iter(arguments)
    tokens = list(_tokens(statement))
    parts: list[str] = []
    word = ""
    for n, token in enumerate(tokens):
        before, after = tokens[n - 1][-1] if n else " ", (tokens[n + 1] if n + 1 < len(tokens) else " ")[0]
        name = token[1:].strip("`")
        if token[0] == ":" and name and name in named and not re.match(r"[\w)\]`]", before):
            text = literal(named[name])
        elif token == "?" and positional is not None:
            try:
                text = literal(next(positional))
            except StopIteration:
                raise ValueError(f"more ? than values in {statement!r}") from None
        else:
            parts.append(token)
            word = token if token.strip() and not _is_comment(token) else word
            continue
        # `a -5` would subtract; a number of an interval takes no brackets.
        if text.startswith("-") and re.search(r"[\w)\]`'\"]$", word) and word.lower() != "interval":
            text = f"({text})"
        parts += [" " * (before not in APART), text, " " * (after not in APART)]
        word = text
    return "".join(parts)


def literal(value: Any) -> str:
    """A Python value as SQL, of the type that PySpark gives it; or the literal or collection in a Column.

    Raises ValueError for another Column, and what PySpark raises for a value that it has no literal for.
    """
    if isinstance(value, Mapping):
        return f"map({', '.join(literal(each) for pair in value.items() for each in pair)})"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return f"array({', '.join(map(literal, value))})"
    return _of_expression(compat.literal_plan(value))


def _of_expression(expression: Any) -> str:
    """SQL of a spark.connect.Expression; see Spark Connect's expressions.proto."""
    kind = expression.WhichOneof("expr_type")
    if kind == "literal":
        return _of_literal(expression.literal)
    if kind == "alias":
        return f"{_of_expression(expression.alias.expr)} AS `{expression.alias.name[0].replace('`', '``')}`"
    if kind == "cast" and expression.cast.expr.unresolved_function.function_name == "array":  # of a numpy array
        return f"CAST({_of_expression(expression.cast.expr)} AS {compat.type_name(expression.cast.type)})"
    function = expression.unresolved_function
    if function.function_name not in COLLECTIONS:
        raise ValueError(f"a parameter of a SQL statement is a value or one of {', '.join(COLLECTIONS)} of values")
    return f"{function.function_name}({', '.join(map(_of_expression, function.arguments))})"


def _of_literal(sent: Any) -> str:
    kind = sent.WhichOneof("literal_type")
    value = getattr(sent, kind)
    if kind == "null":
        return "NULL" if value.WhichOneof("kind") == "null" else f"CAST(NULL AS {compat.type_name(value)})"
    if kind == "string":
        return f"'{_escaped(value)}'"
    if kind == "binary":
        return f"X'{value.hex()}'"
    if kind == "boolean":
        return str(value).upper()
    if kind in SUFFIX:
        return f"{value}{SUFFIX[kind]}"
    if kind in ("float", "double"):
        return f"{value!r}{kind[0].upper()}" if math.isfinite(value) else f"{kind}('{value}')"
    if kind == "decimal":
        number = decimal.Decimal(value.value)
        if not number.is_finite():
            raise ValueError(f"Spark has no decimal {number}")
        return f"{number:f}BD"
    if kind == "date":
        return f"DATE'{EPOCH.date() + datetime.timedelta(value)}'"
    if kind == "timestamp":
        return f"TIMESTAMP'{EPOCH + datetime.timedelta(microseconds=value)}+00:00'"
    if kind == "timestamp_ntz":
        return f"TIMESTAMP_NTZ'{EPOCH + datetime.timedelta(microseconds=value)}'"
    if kind == "time":
        return f"TIME'{(EPOCH + datetime.timedelta(microseconds=value.nano // 1000)).time()}'"
    if kind == "day_time_interval":
        seconds, micros = divmod(abs(value), 1_000_000)
        sign, clock = "-" * (value < 0), EPOCH + datetime.timedelta(0, seconds % 86400, micros)
        return f"INTERVAL '{sign}{seconds // 86400} {clock.time()}' DAY TO SECOND"
    raise ValueError(f"a parameter of type {kind} cannot be put into a SQL statement")


def _escaped(text: str) -> str:
    """For between single quotes. Spark replaces ${x} in a statement, and PySpark {x}: not so in a value."""
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    return re.sub(r"[\0${}]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _choices(text: str, spark: Any) -> list[str]:
    if re.match(r"\s*(select|with)\b", text, re.IGNORECASE):
        return [str(row[0]) for row in spark.sql(text).limit(1024).collect()]
    return re.findall(r"['\"](.*?)['\"]", text)


def _without_comments(text: str) -> str:
    return "".join(token for token in _tokens(text) if not _is_comment(token))


def _is_comment(token: str) -> bool:
    return token.startswith("--") or (token.startswith("/*") and token != "/*+")


def _tokens(text: str) -> Iterator[str]:
    """All of a text in pieces: strings, comments, words, parameter markers, other characters one by one."""
    at = 0
    while at < len(text):
        if text.startswith("/*", at) and not text.startswith("/*+", at):
            end = _end_of_comment(text, at)
        else:
            found = TOKEN.match(text, at)
            end = found.end() if found else at + 1
        yield text[at:end]
        at = end


def _end_of_comment(text: str, at: int) -> int:
    """Comments nest."""
    depth = 0
    for found in re.compile(r"/\*(?!\+)|\*/").finditer(text, at):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(text)
