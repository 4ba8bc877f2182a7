"""The posts: rows of the source tables in any database that SQLAlchemy knows, the seeded one or a user's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, MetaData, Table, create_engine, distinct, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    InterfaceError,
    NoSuchModuleError,
    NoSuchTableError,
    OperationalError,
    SQLAlchemyError,
)

from foundation import registry
from foundation.backoff import Backoff
from foundation.errors import PinflowError
from foundation.registry import TABLES

Row = Mapping[str, Any]

POSTS_PER_QUERY = 500
CONNECT_TIMEOUT = 10

_NO_ANSWER = {2002, 2003, 2005, 2006, 2013}
_DENIED = {1044, 1045, 1142, 1143, 1698}
_UNKNOWN_DATABASE = 1049


class SourceError(PinflowError):
    """The database cannot be read: not reachable, access denied, a table, column or row missing."""


class Post(NamedTuple):
    """The same row of every table, in the registry's order; columns in `SELECT *` order."""

    number: int
    rows: list[Row]


class Source:
    """The source tables, checked when opened: every column exists, and every row number is in all of them.

    ``rows`` restricts the row numbers to a range, both ends included. ``count`` is the number of posts there are.
    If the database goes away, reading is retried for `give_up_after` seconds; `stop` ends that.
    """

    def __init__(
        self,
        url: URL,
        rows: tuple[int, int] | None = None,
        give_up_after: float = 120.0,
        stop: threading.Event | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._url = url
        self._give_up_after = give_up_after
        self._stop = stop or threading.Event()
        self._say = say
        try:
            options = {"connect_timeout": CONNECT_TIMEOUT} if url.get_backend_name() in ("mysql", "mariadb") else {}
            self._engine = create_engine(url, connect_args=options)
            with self._engine.connect() as connection:
                self._tables = [_table(connection, table, url) for table in TABLES.values()]
                self._numbers = _numbers(connection, self._tables, rows)
        except (SQLAlchemyError, ImportError) as error:
            raise _explain(url, error) from None

    @property
    def count(self) -> int:
        """How many posts there are to draw from."""
        return len(self._numbers)

    def posts(self, positions: Iterable[int]) -> Iterator[Post]:
        """The posts at these positions of the sorted row numbers, many a query; ends early after `stop`."""
        remaining = iter(positions)
        while chunk := [self._numbers[position] for position in islice(remaining, POSTS_PER_QUERY)]:
            found = self._wait_for(chunk)
            for number in chunk if found else ():
                for table, rows in zip(TABLES.values(), found, strict=True):
                    if number not in rows:
                        raise SourceError(
                            f"{_shown(self._url)}: row {number} of {table.source} was deleted during this run"
                        )
                yield Post(number, [rows[number] for rows in found])

    def _wait_for(self, numbers: Sequence[int]) -> list[dict[int, Row]]:
        """`_read`, retried while the database is unreachable; nothing if the run is stopped in the meantime."""
        backoff: Backoff | None = None
        while not self._stop.is_set():
            try:
                return self._read(numbers)
            except SQLAlchemyError as error:
                explained = _explain(self._url, error)
                if backoff is None:
                    backoff = Backoff(self._give_up_after, self._stop.wait)
                    self._say(f"{explained.what}; retrying for {self._give_up_after:g} s")
                if not _transient(error) or not backoff.wait():
                    raise explained from None
        return []

    def _read(self, numbers: Sequence[int]) -> list[dict[int, Row]]:
        """The rows with these numbers, by number, of each table; one transaction, so they belong together."""
        wanted = sorted(set(numbers))
        with self._engine.connect() as connection:
            found: list[dict[int, Row]] = []
            for table, key in zip(self._tables, _keys(), strict=True):
                rows = connection.execute(select(table).where(table.c[key].in_(wanted)))
                found.append({row._mapping[key]: dict(row._mapping) for row in rows})
        return found


def _keys() -> list[str]:
    return [table.key for table in TABLES.values()]


def _table(connection: Connection, expected: registry.Table, url: URL) -> Table:
    name = expected.source
    try:
        table = Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
    except NoSuchTableError:
        needed = ", ".join(table.source for table in TABLES.values())
        raise SourceError(
            f"{_shown(url)}: the table {name} is missing", f"the source needs the tables {needed}"
        ) from None
    missing = [column for column in expected.columns if column not in table.c]
    if missing:
        raise SourceError(
            f"{_shown(url)}: {name} lacks the column(s) {', '.join(missing)}; it has {', '.join(table.c.keys())}",
            f"{name} needs the columns {', '.join(expected.columns)}",
        )
    return table


def _numbers(connection: Connection, tables: Sequence[Table], rows: tuple[int, int] | None) -> Sequence[int]:
    """The sorted row numbers that all tables have; raises SourceError if one lacks a row of another."""
    columns = [table.c[key] for table, key in zip(tables, _keys(), strict=True)]
    first, last = rows or (0, None)
    conditions = [c >= first if last is None else c.between(first, last) for c in columns]

    def shape(which: int) -> tuple[int, int | None, int | None]:
        c = columns[which]
        query = select(func.count(distinct(c)), func.min(c), func.max(c)).where(conditions[which])
        return tuple(connection.execute(query).one())

    count, lowest, highest = shape(0)
    within = "" if rows is None else f" from {first} to {last}"
    if lowest is None or highest is None:
        raise SourceError(
            f"{_shown(connection.engine.url)}: {tables[0].name} has no rows{within}", "`make up` loads the seed data"
        )
    if count == highest - lowest + 1 and all(
        shape(which) == (count, lowest, highest) for which in range(1, len(columns))
    ):
        return range(lowest, highest + 1)  # no gaps: the numbers need not be fetched
    numbers = [
        set(connection.scalars(select(c).distinct().where(condition)))
        for c, condition in zip(columns, conditions, strict=True)
    ]
    for table, there in zip(tables, numbers, strict=True):
        if missing := sorted(set.union(*numbers) - there):
            raise SourceError(
                f"{_shown(connection.engine.url)}: {table.name} lacks {len(missing)} row(s) that another table has: "
                f"{', '.join(map(str, missing[:5]))}{', …' if len(missing) > 5 else ''}",
                "a post is the same row of every table: add what is missing, or skip it with --rows FIRST:LAST",
            )
    return sorted(numbers[0])


def _code(error: Exception) -> int | None:
    """MySQL's error number: the first argument of its drivers' exceptions."""
    arguments = getattr(getattr(error, "orig", None), "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _transient(error: SQLAlchemyError) -> bool:
    """Whether the database may come back; it had answered before, so anything but a refusal is a restart."""
    return isinstance(error, (OperationalError, InterfaceError)) and _code(error) not in _DENIED


def _explain(url: URL, error: Exception) -> SourceError:
    where = f"database {_shown(url)}"
    if isinstance(error, (NoSuchModuleError, ImportError, ArgumentError)):
        return SourceError(f"{where}: {error}", "database.url takes an installed SQLAlchemy driver: mysql+pymysql://…")
    arguments = getattr(getattr(error, "orig", None), "args", None) or (error,)
    reason, code = str(arguments[-1]), _code(error)
    if code in _NO_ANSWER:
        return SourceError(f"{where}: no connection: {reason}", "is it running? `make up`, then `make status`")
    if code in _DENIED:
        return SourceError(
            f"{where}: access denied: {reason}",
            "check the user in database.url and database.password",
        )
    if code == _UNKNOWN_DATABASE:
        return SourceError(f"{where}: no such database: {reason}", "check the last part of database.url")
    return SourceError(f"{where}: {reason}")


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
