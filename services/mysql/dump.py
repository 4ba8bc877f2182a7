"""Reads a user's own mysqldump file: only the rows and columns of the source tables.

Everything else in such a file (USE, CREATE DATABASE, DROP, LOCK, grants, other tables) is skipped, so that the file
changes nothing but the tables it is loaded into.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from foundation.errors import PinflowError

_OPENING = re.compile(rb"['\"`;#]|--(?=\s)|/\*")
_CLOSING = {
    b"'": re.compile(rb"\\.|'", re.DOTALL),
    b'"': re.compile(rb'\\.|"', re.DOTALL),
    b"`": re.compile(rb"`"),
    b"/*": re.compile(rb"\*/"),
}
# Comments before a statement, but not the ones that MySQL executes: /*!40101 SET … */ and MariaDB's /*M! … */
_COMMENTS = re.compile(rb"(?:\s+|(?:--\s|#)[^\n]*\n|--\n|/\*(?!M?!).*?\*/)*", re.DOTALL)
_NAMES = re.compile(rb"(?:/\*!\d*\s*)?SET\s+NAMES\s+'?(\w+)", re.IGNORECASE)
_TARGET = re.compile(
    rb"(?P<verb>CREATE\s+TABLE(?:\s+IF\s+NOT\s+EXISTS)?(?=\s)"
    rb"|(?:INSERT|REPLACE)(?:\s+(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE))*(?:\s+INTO)?(?=\s))"
    rb"\s+(?:(?:`[^`]+`|\w+)\s*\.\s*)?(?:`(?P<quoted>[^`]+)`|(?P<bare>\w+))\s*(?P<rest>(?:\([^()]*\)\s*)?VALUES?\b|\(|)",
    re.IGNORECASE,
)
# MySQL's and MariaDB's newer collations do not know each other; the order of texts does not matter here.
_COLLATION = re.compile(rb"\s+COLLATE\s*=?\s*'?utf8(?:mb[34])?_\w+'?", re.IGNORECASE)


class DumpError(PinflowError):
    """A dump that cannot be loaded; names the file and the line."""


@dataclass(frozen=True)
class Statement:
    """One statement to execute, with the line of the dump where it ends."""

    line: int
    sql: bytes


def statements(path: Path, tables: dict[str, str]) -> Iterator[Statement]:
    """The dump's statements (.sql, or gzipped) about the tables, with their names replaced by the given ones.

    Yields SET NAMES, CREATE TABLE and INSERT or REPLACE … VALUES, nothing else. Raises DumpError.
    """
    with _opened(path) as file:
        for line, raw in split(file, path):
            statement = raw[_COMMENTS.match(raw).end() :]  # type: ignore[union-attr]  # it matches the empty text
            if statement[:9].upper() == b"DELIMITER":
                raise DumpError(f"{path}:{line}: DELIMITER", "dump again with --skip-triggers and without --routines")
            if names := _NAMES.match(statement):
                yield Statement(line, b"SET NAMES " + names[1])
            target = _TARGET.match(statement)
            table = (target["quoted"] or target["bare"]).decode(errors="replace") if target else ""
            if not target or table not in tables:
                continue
            creates = target["verb"][:6].upper() == b"CREATE"
            if not (target["rest"] == b"(" if creates else re.search(rb"VALUES?$", target["rest"], re.IGNORECASE)):
                raise DumpError(
                    f"{path}:{line}: {table}: neither a list of columns nor VALUES follows the table's name"
                )
            rest = statement[target.start("rest") :]
            sql = b"%s `%s` %s" % (
                target["verb"],
                tables[table].encode(),
                _COLLATION.sub(b"", rest) if creates else rest,
            )
            yield Statement(line, sql)


def split(lines: Iterable[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """Split SQL at its semicolons, except those in quotes and comments; with the line where each statement ends.

    Memory is that of the longest statement. Raises DumpError where a quote or comment never ends.
    """
    collected: list[bytes] = []
    opened, opened_at, number = b"", 0, 0
    for number, line in enumerate(lines, 1):
        begin = position = 0
        while position < len(line):
            found = (_CLOSING[opened] if opened else _OPENING).search(line, position)
            if found is None:
                break
            position, token = found.end(), found[0]
            if opened:
                # A doubled quote closes and opens again; an escaped character (`\\.`) is neither.
                opened = opened if token.startswith(b"\\") else b""
            elif token == b";":
                yield number, b"".join([*collected, line[begin : position - 1]])
                collected, begin = [], position
            elif token in (b"#", b"--"):
                break
            else:
                opened, opened_at = token, number
        collected.append(line[begin:])
    if opened:
        what = "comment" if opened == b"/*" else "quoted text"
        raise DumpError(
            f"{path}:{opened_at}: a {what} starts here and never ends", "is the file cut off? dump it again"
        )
    rest = b"".join(collected)
    if rest.strip():
        yield number, rest


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(3 if start.startswith(b"\xef\xbb\xbf") else 0)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DumpError(
                f"{path}: is UTF-16, as PowerShell's `>` writes it",
                "dump again with `mysqldump --result-file=dump.sql …`",
            )
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]  # a GzipFile reads bytes by line like any file
        else:
            yield file
