"""The three source tables of the contract (section 1): names, columns in `SELECT *` order, and their DDL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One source table: its name, its columns as (name, MySQL type) in `SELECT *` order; the first is the key."""

    name: str
    columns: tuple[tuple[str, str], ...]

    def ddl(self, name: str) -> str:
        """`CREATE TABLE` for a table of these columns under the given name."""
        columns = ",\n".join(f"  `{column}` {kind}" for column, kind in self.columns)
        return (
            f"CREATE TABLE `{name}` (\n{columns},\n  PRIMARY KEY (`{self.columns[0][0]}`)\n)"
            f" DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci"
        )


PINTEREST_DATA = Table(
    "pinterest_data",
    (
        ("index", "INT NOT NULL"),
        ("unique_id", "TEXT"),
        ("title", "TEXT"),
        ("description", "TEXT"),
        ("poster_name", "TEXT"),
        ("follower_count", "TEXT"),
        ("tag_list", "TEXT"),
        ("is_image_or_video", "TEXT"),
        ("image_src", "TEXT"),
        ("downloaded", "INT"),
        ("save_location", "TEXT"),
        ("category", "TEXT"),
    ),
)
GEOLOCATION_DATA = Table(
    "geolocation_data",
    (
        ("ind", "INT NOT NULL"),
        ("timestamp", "DATETIME"),
        ("latitude", "FLOAT"),
        ("longitude", "FLOAT"),
        ("country", "TEXT"),
    ),
)
USER_DATA = Table(
    "user_data",
    (
        ("ind", "INT NOT NULL"),
        ("first_name", "TEXT"),
        ("last_name", "TEXT"),
        ("age", "INT"),
        ("date_joined", "DATETIME"),
    ),
)
TABLES = (PINTEREST_DATA, GEOLOCATION_DATA, USER_DATA)
