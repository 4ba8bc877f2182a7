"""The three tables: what a JSON record of each must hold, and the columns of the cleaned table.

>>> GEO.fields["latitude"]
<Kind.NUMBER: 'a number'>
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a field holds, in words; all but a key may also be null."""

    KEY = "an integer from 0 that fits an INT"
    TEXT = "a text"
    NUMBER = "a number"
    INTEGER = "an integer"
    AGE = "an integer from 0 to 150"
    COUNT = "a number or a text such as 437, 12k or 5M"
    MOMENT = "a time YYYY-MM-DDTHH:MM:SS"


@dataclass(frozen=True)
class Table:
    """One of the three tables.

    name          pin, geo or user: the topic is `<uid>.<name>`
    fields        the keys of a source record, in the source's order, and what each holds
    placeholders  per field, the texts that the source writes where it has nothing
    columns       the cleaned table as DDL
    """

    name: str
    fields: dict[str, Kind]
    placeholders: dict[str, tuple[str, ...]]
    columns: str

    @property
    def names(self) -> list[str]:
        """The names of the cleaned table's columns."""
        return [column.split()[0] for column in self.columns.split(",")]


PIN = Table(
    name="pin",
    fields={
        "index": Kind.KEY,
        "unique_id": Kind.TEXT,
        "title": Kind.TEXT,
        "description": Kind.TEXT,
        "poster_name": Kind.TEXT,
        "follower_count": Kind.COUNT,
        "tag_list": Kind.TEXT,
        "is_image_or_video": Kind.TEXT,
        "image_src": Kind.TEXT,
        "downloaded": Kind.INTEGER,
        "save_location": Kind.TEXT,
        "category": Kind.TEXT,
    },
    placeholders={
        "title": ("No Title Data Available",),
        "description": ("No description available Story format", "No description available"),
        "poster_name": ("User Info Error",),
        "follower_count": ("User Info Error",),
        "tag_list": ("N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e",),
        "image_src": ("Image src error.",),
    },
    columns="""ind INT, unique_id STRING, title STRING, description STRING, follower_count INT, poster_name STRING,
        tag_list STRING, is_image_or_video STRING, image_src STRING, save_location STRING, category STRING""",
)

GEO = Table(
    name="geo",
    fields={
        "ind": Kind.KEY,
        "timestamp": Kind.MOMENT,
        "latitude": Kind.NUMBER,
        "longitude": Kind.NUMBER,
        "country": Kind.TEXT,
    },
    placeholders={},
    columns="ind INT, country STRING, coordinates ARRAY<DOUBLE>, timestamp TIMESTAMP",
)

USER = Table(
    name="user",
    fields={
        "ind": Kind.KEY,
        "first_name": Kind.TEXT,
        "last_name": Kind.TEXT,
        "age": Kind.AGE,
        "date_joined": Kind.MOMENT,
    },
    placeholders={},
    columns="ind INT, user_name STRING, age INT, date_joined TIMESTAMP",
)

TABLES = {table.name: table for table in (PIN, GEO, USER)}

QUARANTINE = """table STRING, source STRING, position STRING, time TIMESTAMP, reason STRING, raw STRING,
    raw_bytes BINARY"""
"""What did not fit a table. ``raw`` is the record's text; where it is not UTF-8, ``raw_bytes`` holds its bytes."""
