"""display and displayHTML: tables of Spark and pandas, streams, figures.

https://docs.databricks.com/visualizations/index.html: a table shows 10,000 rows or 2 MB, whatever is less.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
from IPython.display import display as display_object
from pyspark.errors import AnalysisException
from pyspark.sql import Row
from pyspark.sql.connect.dataframe import DataFrame

from .events import Events

ROWS = 10_000
SIZE = 2 * 1024 * 1024
TABLE = "application/vnd.pinflow.table+json"
STREAM_TIMEOUT = 15.0
"""Seconds that display(stream) waits for its first rows."""


class Display:
    """The notebook's `display`."""

    def __init__(self, events: Events, drain: Callable[[], None]) -> None:
        self._events, self._drain = events, drain

    def display(self, *values: Any, **options: Any) -> None:
        """Show each value: tables, the first rows of streams, the rest as IPython shows it."""
        for value in values:
            if isinstance(value, DataFrame):
                self._stream(value, options) if value.isStreaming else self._spark(value)
            elif isinstance(value, pd.DataFrame):
                self._pandas(value)
            elif isinstance(value, pd.Series):
                self._pandas(value.to_frame(value.name if value.name is not None else "0"))
            elif isinstance(value, list | tuple) and value and all(_record(each) is not None for each in value):
                self._records([_record(each) or {} for each in value])
            elif type(value).__module__.startswith("pyspark.pandas"):
                self._spark(value.to_frame().to_spark() if hasattr(value, "to_frame") else value.to_spark())
            else:
                display_object(value)

    def html(self, html: str) -> None:
        """Show HTML."""
        self._drain()
        self._events.display("text/html", html=str(html))

    def _spark(self, frame: DataFrame, note: str = "") -> None:
        fields = frame.schema.fields
        columns = [(field.name, field.dataType.simpleString()) for field in fields]
        self._table(columns, frame.limit(ROWS + 1).toLocalIterator(), note)

    def _pandas(self, frame: pd.DataFrame) -> None:
        columns = [(str(name), str(kind)) for name, kind in frame.dtypes.items()]
        self._table(columns, frame.head(ROWS + 1).itertuples(index=False, name=None))

    def _records(self, records: list[dict[str, Any]]) -> None:
        names = list(dict.fromkeys(name for record in records for name in record))
        first = {name: next((r[name] for r in records if r.get(name) is not None), None) for name in names}
        columns = [(str(name), type(first[name]).__name__) for name in names]
        self._table(columns, ([record.get(name) for name in names] for record in records))

    def _table(self, columns: list[tuple[str, str]], rows: Iterable[Any], note: str = "") -> None:
        kept: list[list[Any]] = []
        size, truncated = 0, False
        for row in rows:
            values = [_plain(value) for value in row]
            size += len(json.dumps(values, ensure_ascii=False))
            if len(kept) >= ROWS or (size > SIZE and kept):
                truncated = True
                break
            kept.append(values)
        self._drain()
        self._events.display(
            TABLE,
            columns=[{"name": name, "type": kind} for name, kind in columns],
            rows=kept,
            truncated=truncated,
            size=size,
            **({"note": note} if note else {}),
        )

    def _stream(self, frame: DataFrame, options: dict[str, Any]) -> None:
        """Start the query, wait for its first rows, show them and stop it: the page of a job is not live."""
        name = f"{options.get('streamName') or 'display_query'}_{uuid.uuid4().hex[:8]}"
        query = _start(frame, name, options)
        deadline = time.monotonic() + STREAM_TIMEOUT
        try:
            while time.monotonic() < deadline and query.isActive and not _has_rows(query):
                time.sleep(0.3)
            if error := query.exception():
                raise error
            self._spark(frame.sparkSession.table(f"`{name}`"), note=f"streaming query {name}: its first rows")
        finally:
            query.stop()


def _record(value: Any) -> dict[str, Any] | None:
    """A Row, a dict, or a named tuple such as dbutils.fs.ls gives; None for other values."""
    if isinstance(value, Row):
        return value.asDict()  # type: ignore[no-any-return]
    if hasattr(value, "_asdict"):
        return value._asdict()  # type: ignore[no-any-return]
    return value if isinstance(value, dict) else None


def _start(frame: DataFrame, name: str, options: dict[str, Any]) -> Any:
    writer = frame.writeStream.format("memory").queryName(name)
    if options.get("checkpointLocation"):
        writer = writer.option("checkpointLocation", options["checkpointLocation"])
    try:
        return writer.outputMode("append").start()
    except AnalysisException:
        # Aggregations without a watermark have no append mode.
        return writer.outputMode("complete").start()


def _has_rows(query: Any) -> bool:
    return any(progress.numInputRows for progress in query.recentProgress)


def _plain(value: Any) -> Any:
    """A value as JSON: dates in ISO form, decimals and other types as text, binary as base64, NaN as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Row):
        return {name: _plain(each) for name, each in value.asDict().items()}
    if isinstance(value, dict):
        return {str(_plain(name)): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in value]
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.datetime | datetime.date):
        return None if value is pd.NaT else value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return str(value)
