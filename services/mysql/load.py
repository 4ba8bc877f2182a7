"""Loads the source tables: the generated rows, or a user's own dump. `python -m services.mysql.load PROFILE`.

The rows go into side tables, which are renamed when they are complete. The comment of each table names its source, so
that the next run sees what is loaded, and whether all of it is.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from foundation import profile as profiles
from foundation.errors import PinflowError
from foundation.profile import Profile
from foundation.registry import TABLES, Table
from services.mysql import dump
from services.mysql.database import connect
from services.mysql.seed import GENERATION, POSTS, SEED, rows

_MARK = "pinflow: "
_NEW, _OLD = "pinflow_new_", "pinflow_old_"
_SOURCES = [table.source for table in TABLES.values()]
_NAMES = ", ".join(f"'{name}'" for name in _SOURCES)


class LoadError(PinflowError):
    """The source tables could not be loaded, or something is missing; existing tables are unchanged."""


@dataclass(frozen=True)
class Source:
    """Where rows come from. ``mark`` is the tables' comment: the same source has the same mark, and no other has."""

    title: str
    mark: str
    fill: Callable[[Cursor], None]


def load(profile: Profile, say: Callable[[str], None], seed: int = SEED) -> None:
    """Load the rows of stack.dump, or the generated ones, into database.url.

    Running it again does nothing. Tables that pinflow loaded from another source are replaced, with a message; tables
    that pinflow did not load stay as they are. Raises LoadError, or DumpError with the dump's line.
    """
    chosen = profile.stack.dump if profile.stack else None
    source = _dump(profiles.ROOT / chosen.expanduser()) if chosen else _generated(seed)
    try:
        with connect(profile) as connection, connection.cursor() as cursor:
            _lock(cursor, profile)
            _load(connection, cursor, source, say, own_choice=chosen is not None)
    except pymysql.Error as error:
        url = profile.database.engine_url
        raise LoadError(
            f"{source.title} into {url}: {_reason(error)}", "see `make logs`; the next run starts over"
        ) from None


def _load(
    connection: Connection[Cursor], cursor: Cursor, source: Source, say: Callable[[str], None], own_choice: bool
) -> None:
    cursor.execute(
        "SELECT table_name, table_comment FROM information_schema.tables"
        f" WHERE table_schema = DATABASE() AND table_name IN ({_NAMES})"
    )
    marks = dict(cursor.fetchall())
    foreign = sorted(name for name, mark in marks.items() if not mark.startswith(_MARK))
    if foreign and own_choice:
        raise LoadError(
            f"{source.title}: the table {foreign[0]} exists and was not loaded by pinflow",
            "drop the tables, or set stack.dump to null to use them as they are",
        )
    if foreign:
        _check(cursor, "", "the tables in the database, which pinflow did not load")
        say("using the existing tables, which pinflow did not load")
        return
    _drop_side_tables(cursor)
    if len(marks) == len(TABLES) and set(marks.values()) == {source.mark}:
        say(f"{source.title}: already loaded")
        return
    if marks:
        say(f"replacing the rows of {' and '.join(sorted({m.removeprefix(_MARK) for m in marks.values()}))}")
    started = time.monotonic()
    source.fill(cursor)
    connection.commit()
    _check(cursor, _NEW, source.title)
    counts = [_count(cursor, f"{_NEW}{name}", source) for name in _SOURCES]
    _swap(cursor, source, marks)
    numbers = f"{len(counts)} × {counts[0]:,}" if len(set(counts)) == 1 else " + ".join(map("{:,}".format, counts))
    say(f"{source.title}: loaded {numbers} rows in {time.monotonic() - started:.1f} s")


def _swap(cursor: Cursor, source: Source, present: Iterable[str]) -> None:
    """Rename the side tables in one statement. It is atomic in MySQL; if MariaDB is killed during it, the marks are
    incomplete and the next run loads again."""
    renames = [f"`{name}` TO `{_OLD}{name}`" for name in present]
    for name in _SOURCES:
        cursor.execute(f"ALTER TABLE `{_NEW}{name}` COMMENT = '{source.mark}'")
        renames.append(f"`{_NEW}{name}` TO `{name}`")
    cursor.execute(f"RENAME TABLE {', '.join(renames)}")
    _drop_side_tables(cursor)


def _drop_side_tables(cursor: Cursor) -> None:
    names = [f"`{prefix}{name}`" for prefix in (_NEW, _OLD) for name in _SOURCES]
    cursor.execute("SET foreign_key_checks = 0")
    cursor.execute(f"DROP TABLE IF EXISTS {', '.join(names)}")


def _check(cursor: Cursor, prefix: str, what: str) -> None:
    """Raise LoadError that says which tables and columns are missing."""
    cursor.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
    found: dict[str, set[str]] = {}
    for table, column in cursor.fetchall():
        found.setdefault(table, set()).add(column)
    problems = []
    for table in TABLES.values():
        columns = [name for name in table.columns if name not in found.get(prefix + table.source, ())]
        if prefix + table.source not in found:
            problems.append(f"the table {table.source} is missing")
        elif columns:
            problems.append(f"{table.source} lacks the column{'s'[: len(columns) - 1]} {', '.join(columns)}")
    if problems:
        raise LoadError(f"{what}: {'; '.join(problems)}", "services/mysql/README.md lists what is expected")


def _count(cursor: Cursor, table: str, source: Source) -> int:
    cursor.execute(f"SELECT COUNT(*) FROM `{table}`")
    row = cursor.fetchone()
    if not row or not row[0]:
        raise LoadError(f"{source.title}: no rows for {table.removeprefix(_NEW)}", "dump the tables with their data")
    return int(row[0])


def _generated(seed: int) -> Source:
    def fill(cursor: Cursor) -> None:
        generated = rows(seed)
        for table in TABLES.values():
            cursor.execute(create_statement(table, f"{_NEW}{table.source}"))
            places = ", ".join(["%s"] * len(table.columns))
            # PyMySQL turns this into multi-row inserts of up to 1 MB.
            cursor.executemany(f"INSERT INTO `{_NEW}{table.source}` VALUES ({places})", generated[table.name])

    title = f"generated rows, seed {seed}"
    return Source(title, f"{_MARK}seed {seed}, generation {GENERATION}, {POSTS} rows", fill)


def create_statement(table: Table, name: str) -> str:
    """`CREATE TABLE` under the given name."""
    columns = ", ".join(f"`{column}` {kind.mysql_type}" for column, kind in table.columns.items())
    return (
        f"CREATE TABLE `{name}` ({columns}, PRIMARY KEY (`{table.key}`))"
        " DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci"
    )


def _dump(path: Path) -> Source:
    if not path.is_file():
        raise LoadError(f"stack.dump: {path} does not exist", "give the path of a .sql or .sql.gz file, or null")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    def fill(cursor: Cursor) -> None:
        # As mysqldump's own header has it; without the mode, an AUTO_INCREMENT key would turn row 0 into row 1.
        cursor.execute("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', unique_checks = 0")
        for statement in dump.statements(path, {name: _NEW + name for name in _SOURCES}):
            try:
                cursor.connection.query(statement.sql)
            except pymysql.Error as error:
                raise dump.DumpError(f"{path}:{statement.line}: {_reason(error)}") from None
        cursor.execute("SET NAMES utf8mb4")

    return Source(f"dump {path.name}", f"{_MARK}dump sha256 {digest}", fill)


def _lock(cursor: Cursor, profile: Profile) -> None:
    """One loader at a time; the server frees the lock of one that died."""
    cursor.execute("SELECT GET_LOCK(%s, 60)", (f"pinflow load {profile.database.engine_url.database}"[:64],))
    if cursor.fetchone() != (1,):
        raise LoadError("another load of the source tables is still running after a minute", "wait for it, or stop it")


def _reason(error: pymysql.Error) -> str:
    return str(error.args[-1] if error.args else error)


if __name__ == "__main__":
    try:
        load(profiles.load(sys.argv[1]), lambda message: print(f"mysql: {message}", flush=True))
    except PinflowError as failure:
        sys.exit(str(failure))
