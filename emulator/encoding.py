"""A row as JSON: what goes over the wire and, byte for byte, into the spill file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal


def encode(row: Mapping[str, object]) -> bytes:
    """The row as compact JSON in UTF-8, columns in their order; text stays Unicode and is not escaped.

    Date-times become `YYYY-MM-DDTHH:MM:SS` (in UTC if they have a zone), decimals numbers. Raises ValueError for what
    JSON does not have: NaN, an infinity, a type that is none of SQL's plain ones.

    >>> encode({"ind": 7, "timestamp": datetime(2020, 1, 2, 3, 4, 5), "country": "Åland"}).decode()
    '{"ind":7,"timestamp":"2020-01-02T03:04:05","country":"Åland"}'
    """
    try:
        return _UNICODE.encode(row).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8; escaped it is still JSON
        return _ASCII.encode(row).encode()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat(timespec="seconds")
    if isinstance(value, date):
        return datetime.combine(value, time()).isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    raise ValueError(f"JSON has no form for the {type(value).__name__} {value!r}")


_UNICODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
_ASCII = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=_plain)
