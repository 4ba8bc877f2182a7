"""A source database in a SQLite file: any database that SQLAlchemy knows will do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

COLUMNS = {
    "pinterest_data": "`index` INT, unique_id TEXT, title TEXT, description TEXT, poster_name TEXT, "
    "follower_count TEXT, tag_list TEXT, is_image_or_video TEXT, image_src TEXT, downloaded INT, save_location TEXT, "
    "category TEXT",
    "geolocation_data": "ind INT, timestamp DATETIME, latitude FLOAT, longitude FLOAT, country TEXT",
    "user_data": "ind INT, first_name TEXT, last_name TEXT, age INT, date_joined DATETIME",
}


def pin(number: int) -> dict[str, Any]:
    """A row of pinterest_data."""
    return {
        "index": number,
        "unique_id": f"id-{number}",
        "title": f"Ёлка 🎉 {number}",
        "description": 'comma, "quote" …',
        "poster_name": f"poster {number % 3}",
        "follower_count": "12k",
        "tag_list": "A,B",
        "is_image_or_video": "image",
        "image_src": "https://i.pinimg.com/originals/aa/bb/cc/aabbcc.jpg",
        "downloaded": 1,
        "save_location": "Local save in /data/art",
        "category": "art",
    }


def geo(number: int) -> dict[str, Any]:
    """A row of geolocation_data."""
    moment = datetime(2018, 1, 1) + timedelta(hours=number)
    return {"ind": number, "timestamp": moment, "latitude": -88.5252, "longitude": 179.934, "country": "Côte d'Ivoire"}


def user(number: int) -> dict[str, Any]:
    """A row of user_data."""
    return {
        "ind": number, "first_name": "Aaron", "last_name": "O'Neil", "age": 20, "date_joined": datetime(2016, 1, 1)
    }  # fmt: skip


ROWS = {"pinterest_data": pin, "geolocation_data": geo, "user_data": user}


def create(path: Path, numbers: Iterable[int], columns: dict[str, str] = COLUMNS) -> URL:
    """A database of the three tables with these row numbers; tables that `columns` leaves out are left out."""
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url)
    numbers = list(numbers)
    with engine.begin() as connection:
        for table, definition in columns.items():
            connection.execute(text(f"CREATE TABLE {table} ({definition})"))
            names = [part.split()[0].strip("`") for part in definition.split(", ")]
            rows = [{name: value for name, value in ROWS[table](n).items() if name in names} for n in numbers]
            rows = [{k: str(v) if isinstance(v, datetime) else v for k, v in row.items()} for row in rows]
            fields = ", ".join(f"`{name}`" for name in names)
            places = ", ".join(f":{name}" for name in names)
            if rows:
                connection.execute(text(f"INSERT INTO {table} ({fields}) VALUES ({places})"), rows)
    engine.dispose()
    return url


def change(url: URL, *statements: str) -> None:
    """Execute statements on the database."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
