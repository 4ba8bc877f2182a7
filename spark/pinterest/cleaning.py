"""Cleans the raw records of one table into rows that fit and records that do not; the same for batch and stream.

    pins = clean(TABLES["pin"], records)
    pins.rows          # the cleaned columns of the table
    pins.quarantined   # the columns of QUARANTINE

It uses column expressions only and no Python on the rows, so it works on a Connect session, with ANSI on or off, and on
a stream. VARIANT gives the types in the JSON itself: with a schema, a number would silently become a text.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pinterest.registry import Kind, Table

QUARANTINE = """table STRING, source STRING, position STRING, time TIMESTAMP, reason STRING, raw STRING,
    raw_bytes BINARY"""
"""Records that do not fit a table. ``raw`` is the record's text; ``raw_bytes`` its bytes where it is not UTF-8."""
LARGEST_INT = 2_147_483_647
_NO_BLANK = r"[^ \t\n\x0B\f\r\u00A0]"


@dataclass(frozen=True)
class Cleaned:
    """Records of one table, judged.

    ``judged`` has a row a record: the columns of the record, ``row`` (a struct with the columns of the cleaned table,
    null where the record does not fit) and ``reason`` (why it does not fit, null where it does).
    """

    table: Table
    judged: DataFrame

    @property
    def rows(self) -> DataFrame:
        """What fits: the columns of the cleaned table."""
        return self.judged.where(F.col("reason").isNull()).select("row.*")

    @property
    def quarantined(self) -> DataFrame:
        """What does not: the columns of QUARANTINE."""
        value = F.col("value")
        return self.judged.where(F.col("reason").isNotNull()).select(
            F.lit(self.table.name).alias("table"),
            F.col("source"),
            F.col("position").cast("string").alias("position"),
            F.col("time"),
            F.col("reason"),
            F.make_valid_utf8(value).alias("raw"),
            F.when(~F.is_valid_utf8(value), value.cast("binary")).alias("raw_bytes"),
        )


def clean(table: Table, records: DataFrame) -> Cleaned:
    """Judge and clean the records of one table, by section 6 of the contract.

    ``records`` has the columns ``value`` (STRING or BINARY: one JSON text), ``source`` (STRING: the object or the
    stream), ``position`` (its place there) and ``time`` (TIMESTAMP: when it came to that place).
    """
    text = F.try_validate_utf8(F.col("value").cast("string"))
    # PARSE_JSON ignores whatever follows the first value. An element of our own after it shows that nothing did: the
    # text's hash, which the text itself cannot hold there.
    document = F.try_parse_json(F.concat(F.lit("["), text, F.lit(","), _hash().cast("string"), F.lit("]")))
    texts = ", ".join(f"{name} STRING" for name in table.columns)
    fields = F.struct(
        F.struct(*(_type(f"$[0].{name}").alias(name) for name in table.columns)).alias("types"),
        F.try_variant_get("document", "$[0]", f"STRUCT<{texts}>").alias("texts"),
    )
    judged = (
        records.withColumn("value", F.col("value").cast("string"))
        .select("*", _once(document).alias("document"))
        .select("*", _once(fields).alias("fields"))
        .select("*", _reason(table).alias("reason"), _row(table).alias("row"))
        .drop("document", "fields")
    )
    return Cleaned(table, judged)


def _once(column: Column) -> Column:
    """The same value, computed once a row.

    The optimiser repeats an expression wherever its column is used, also in the filters that it moves to the front: the
    JSON would be parsed 60 times a record. It does not do so with a generator.
    """
    return F.explode(F.array(column))


def _hash() -> Column:
    return F.xxhash64(F.col("value").cast("string"))


def _type(path: str) -> Column:
    """The JSON type at a path of the document: null where there is no such key, VOID for a JSON null."""
    return F.schema_of_variant(F.try_variant_get("document", path, "variant"))


def _get(name: str) -> Column:
    """A field's value as a text: of a string the string itself, of anything else its JSON."""
    return F.col(f"fields.texts.{name}")


def _reason(table: Table) -> Column:
    """Why a record does not fit: the first fault found, null if there is none."""
    at_end = F.try_variant_get("document", "$[1]", "bigint").eqNullSafe(_hash())
    problems = (_problem(name, kind) for name, kind in table.columns.items())
    return (
        F.when(~F.is_valid_utf8("value"), "not UTF-8")
        .when(F.col("document").isNull(), "not JSON, or a key stands in it twice")
        .when(~at_end, "not JSON: something follows the first value")
        .when(~_type("$[0]").startswith("OBJECT"), "not a JSON object")
        .otherwise(F.coalesce(*problems))
    )


def _problem(name: str, kind: Kind) -> Column:
    """What is wrong with a field, null if nothing is."""
    found = F.col(f"fields.types.{name}")
    shown = F.concat_ws(" ", F.lower(F.substring(found, 1, 40)), F.substring(_get(name), 1, 60))
    return F.when(found.isNull(), f"{name}: the key is missing").when(
        ~F.coalesce(_fits(name, kind, found), F.lit(False)),
        F.concat(F.lit(f"{name}: expected {kind.words}, found "), shown),
    )


def _fits(name: str, kind: Kind, found: Column) -> Column:
    """Whether a field's JSON type and value are what its kind asks for; null counts as no."""
    null, whole = found == "VOID", found == "BIGINT"
    match kind:
        case Kind.KEY:
            return whole & _get(name).try_cast("bigint").between(0, LARGEST_INT)
        case Kind.TEXT:
            return null | (found == "STRING")
        case Kind.NUMBER:
            return null | _is_number(name, found)
        case Kind.INTEGER:
            return null | whole
        case Kind.AGE:
            return null | (whole & _get(name).try_cast("bigint").between(0, 150))
        case Kind.COUNT:
            return null | (found == "STRING") | _is_number(name, found)
        case Kind.MOMENT:
            return null | ((found == "STRING") & _moment(name).isNotNull())


def _is_number(name: str, found: Column) -> Column:
    """VARIANT holds a number as BIGINT, DECIMAL or DOUBLE; 1e400 is an infinite DOUBLE there, which JSON lacks."""
    finite = F.abs(_get(name).try_cast("double")) < float("inf")
    return (found == "BIGINT") | found.startswith("DECIMAL") | ((found == "DOUBLE") & finite)


def _moment(name: str) -> Column:
    """A text in one of the two forms as TIMESTAMP, else null. The Z makes it UTC whatever the session's zone is."""
    text = _get(name)
    # Python, and so every client that collects the rows, knows no year 0.
    form = r"\A(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}\z"
    return F.when(text.rlike(form), F.concat(text, F.lit("Z")).try_cast("timestamp"))


def _text(table: Table, name: str) -> Column:
    """A text as it is, but null for a placeholder of its own column and for nothing but blanks."""
    text = _get(name)
    real = _is_real(text)
    if name in table.placeholders:
        real &= ~text.isin(*table.placeholders[name])
    return F.when(real, text)


def _is_real(text: Column) -> Column:
    """Whether there is anything but ASCII white space and U+00A0."""
    return text.rlike(_NO_BLANK)


def _count(name: str) -> Column:
    """A count as INT: 437, 12k and 5M are numbers; anything else, or too much for an INT, is null."""
    text = _get(name)
    form = r"\A0*([0-9]{1,10})([kM]?)\z"
    unit = F.regexp_extract(text, form, 2)
    factor = F.when(unit == "k", 1_000).when(unit == "M", 1_000_000).otherwise(1)
    count = F.regexp_extract(text, form, 1).try_cast("bigint") * factor
    return F.when(count <= LARGEST_INT, count).cast("int")


def _row(table: Table) -> Column:
    """The columns of the cleaned table as a struct, in their order: by a rule of its own, or by the kind."""
    own = {"ind": _get(table.key).try_cast("int"), **_rules(table)}
    columns = {name: own[name] if name in own else _by_kind(table, name) for name in table.cleaned}
    return F.struct(*(column.alias(name) for name, column in columns.items()))


def _by_kind(table: Table, name: str) -> Column:
    match table.columns[name]:
        case Kind.TEXT:
            return _text(table, name)
        case Kind.MOMENT:
            return _moment(name)
        case Kind.COUNT:
            return _count(name)
        case Kind.NUMBER:
            return _get(name).try_cast("double")
        case _:
            return _get(name).try_cast("int")


def _rules(table: Table) -> dict[str, Column]:
    """The cleaned columns that are more than a source column read by its kind."""
    match table.name:
        case "pin":
            text, prefix = _get("save_location"), "Local save in "
            path = F.when(text.startswith(prefix), F.substr(text, F.lit(len(prefix) + 1))).otherwise(text)
            return {"save_location": F.when(_is_real(path), path)}
        case "geo":
            latitude, longitude = _by_kind(table, "latitude"), _by_kind(table, "longitude")
            known = latitude.isNotNull() & longitude.isNotNull()
            return {"coordinates": F.when(known, F.array(latitude, longitude))}
        case "user":
            # CONCAT with a null is null.
            return {"user_name": F.concat(_text(table, "first_name"), F.lit(" "), _text(table, "last_name"))}
    return {}
