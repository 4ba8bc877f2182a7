"""``initialPosition``: where a query without a checkpoint begins."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

from pyspark_kinesis.offsets import TRIM_HORIZON, Position

DEFAULT_FORMAT = "MM/dd/yyyy HH:mm:ss ZZZ"
"""For a time without ``format``: Databricks' own example is ``06/25/2020 10:23:45 PDT``."""

# Letters of java.text.SimpleDateFormat, and the pattern for each.
_FIELDS = {
    "y": r"\d{2,4}", "M": r"\d{1,2}|[A-Za-z]{3,9}", "d": r"\d{1,2}", "E": r"[A-Za-z]{3,9}", "a": r"[AaPp][Mm]",
    "H": r"\d{1,2}", "h": r"\d{1,2}", "m": r"\d{1,2}", "s": r"\d{1,2}", "S": r"\d{1,9}",
    "z": r"[A-Za-z]{1,5}(?:[+-]\d{1,2}:?\d{2})?|[+-]\d{2}:?\d{2}",
}  # fmt: skip
_FIELDS["Z"] = _FIELDS["X"] = _FIELDS["z"]
_ZONES = {"UTC": 0, "GMT": 0, "UT": 0, "Z": 0} | {
    zone: offset - (zone[1] == "S")
    for standard, daylight, offset in (("EST", "EDT", -4), ("CST", "CDT", -5), ("MST", "MDT", -6), ("PST", "PDT", -7))
    for zone in (standard, daylight)
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class Initial:
    """The beginning of a stream, its end, or ``time``: milliseconds since 1970."""

    kind: Literal["latest", "trim_horizon", "at_timestamp"]
    time: int = 0

    @classmethod
    def parse(cls, text: str) -> Initial:
        """``latest``, ``trim_horizon`` or ``earliest``, or JSON: ``{"at_timestamp": …}``, with or without ``format``.

        Raises ValueError.
        """
        match text.lower():
            case "latest":
                return cls("latest")
            case "trim_horizon" | "earliest":
                return cls("trim_horizon")
        try:
            document: Any = json.loads(text)
        except json.JSONDecodeError:
            document = None
        if (
            not isinstance(document, dict)
            or "at_timestamp" not in document
            or document.keys() - {"at_timestamp", "format"}
        ):
            raise ValueError(
                f"{text!r} is none of latest, trim_horizon, earliest, "
                '{"at_timestamp": "06/25/2020 10:23:45 PDT"} and '
                '{"at_timestamp": "2020-06-25 10:23:45", "format": "yyyy-MM-dd HH:mm:ss"}'
            )
        moment, form = str(document["at_timestamp"]), document.get("format")
        when = parse_time(moment, str(form)) if form is not None else parse_default(moment)
        return cls("at_timestamp", round(when.timestamp() * 1000))

    def position(self, now: int) -> Position:
        """Where shards begin; ``latest`` is where they end ``now`` (milliseconds since 1970)."""
        match self.kind:
            case "latest":
                return Position("LATEST", timestamp=now)
            case "trim_horizon":
                return TRIM_HORIZON
            case "at_timestamp":
                return Position("AT_TIMESTAMP", timestamp=self.time)


def parse_default(text: str) -> datetime:
    """A time without a format of its own: Databricks' form, or ISO 8601. Raises ValueError."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return parse_time(text, DEFAULT_FORMAT)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def parse_time(text: str, form: str) -> datetime:
    """A time in a form of Java's SimpleDateFormat; UTC if it names no zone. Raises ValueError."""
    names: list[str] = []
    pattern = ""
    for part in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([^A-Za-z'])", form):
        if (letter := part[2]) is None:
            pattern += re.escape(part[1].replace("''", "'") or "'" if part[1] is not None else part[3])
        elif letter not in _FIELDS or letter in names:
            raise ValueError(f"format {form!r}: {part[0]} is unknown or used twice; known are {' '.join(_FIELDS)}")
        else:
            names.append(letter)
            # Fields that touch (yyyyMMdd) have their full width, as in Java.
            touching = form[part.end() : part.end() + 1].isalpha() and _FIELDS[letter].startswith(r"\d")
            pattern += rf"(\d{{{len(part[0])}}})" if touching else f"({_FIELDS[letter]})"
    found = re.fullmatch(pattern, text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a time in the form {form!r}")
    return _moment(dict(zip(names, found.groups(), strict=True)), text)


def _moment(fields: dict[str, str], text: str) -> datetime:
    year = int(fields.get("y", "1970"))
    month = fields.get("M", "1")
    hour = int(fields["h"]) % 12 if "h" in fields else int(fields.get("H", "0"))
    if fields.get("a", "").lower() == "pm":
        hour += 12
    return datetime(
        year + 2000 if year < 100 else year,
        int(month) if month.isdecimal() else _MONTHS.index(month[:3].lower()) + 1,
        int(fields.get("d", "1")),
        hour,
        int(fields.get("m", "0")),
        int(fields.get("s", "0")),
        int(fields.get("S", "0")[:6].ljust(6, "0")),
        tzinfo=_zone(next((fields[letter] for letter in "zZX" if letter in fields), "UTC"), text),
    )


def _zone(name: str, text: str) -> timezone:
    """GMT, UTC, Z, the zones of the USA, +02:00, GMT+2:00: what RFC 822 and Java have in common."""
    offset = re.fullmatch(r"(?:GMT|UTC|UT)?([+-])(\d{1,2}):?(\d{2})", name.upper())
    if offset:
        distance = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-distance if offset[1] == "-" else distance)
    if name.upper() not in _ZONES:
        raise ValueError(f"{text!r}: unknown time zone {name}; write GMT, +02:00, or one like PDT")
    return timezone(timedelta(hours=_ZONES[name.upper()]))
