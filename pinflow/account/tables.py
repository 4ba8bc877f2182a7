"""What lies in the Delta tables of this machine, read without Spark."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from foundation.errors import NotReady, brief
from foundation.profile import Profile
from foundation.registry import TABLES
from services.spark.native import warehouse

_COMMITS = 50
"""Commits among which a load's own is looked for: after it there may be those of other loads, or an OPTIMIZE."""
_LOADED_WITHIN = 600.0
"""Seconds for which a load may be between its two commits, the quarantine's and the table's."""
_LOOKS = 5


@dataclass(frozen=True)
class Load:
    """What a load says of itself in its commit: read_at is when it began to list the objects, seconds since 1970."""

    read_at: float
    records: int
    rows: int
    quarantined: int


@dataclass(frozen=True)
class Table:
    """A cleaned table and its part of the quarantine.

    posts    how often each post is in it; None where there is no such table
    bad      how often each record is in the quarantine
    load     the load that made it, where that is known
    loading  a load is between its two commits: its quarantine is there, and its table is to come
    """

    posts: Counter[int] | None = None
    bad: Counter[bytes] = field(default_factory=Counter)
    load: Load | None = None
    loading: bool = False


def cleaned(profile: Profile) -> dict[str, Table]:
    """The cleaned tables, all as they were at one moment. Raises NotReady."""
    for _ in range(_LOOKS):
        before = _versions(profile)
        found = _cleaned(profile)
        if _versions(profile) == before:
            break
    return found


def loaded_at(profile: Profile) -> float:
    """When the latest load began, in seconds since 1970; 0 where none is known. Raises NotReady."""
    loads = [_load(table) for kind in TABLES if (table := _open(profile, kind)) is not None]
    return max((load.read_at for load in loads if load), default=0.0)


def stream_rows(profile: Profile) -> dict[str, tuple[int, int]]:
    """Rows of each stream's table and of its quarantine; nothing where no stream has a table. Raises NotReady."""
    tables = {kind: _open(profile, f"{kind}_table") for kind in TABLES}
    if not any(tables.values()):
        return {}
    quarantine = _open(profile, "stream_quarantine")
    bad = Counter(_column(quarantine, "table") if quarantine is not None else [])
    with _errors("the streams' tables"):
        return {kind: (table.count() if table is not None else 0, bad[kind]) for kind, table in tables.items()}


def _cleaned(profile: Profile) -> dict[str, Table]:
    quarantine = _open(profile, "quarantine")
    bad: dict[str, Counter[bytes]] = {kind: Counter() for kind in TABLES}
    if quarantine is not None:
        columns = (_column(quarantine, column) for column in ("table", "raw", "raw_bytes"))
        for kind, text, data in zip(*columns, strict=True):
            bad.setdefault(kind, Counter())[data if data is not None else text.encode()] += 1
    found = {}
    for kind in TABLES:
        table = _open(profile, kind)
        load = _load(table) if table is not None else None
        begun = _quarantined_at(quarantine, kind) if quarantine is not None else 0.0
        loading = begun > (load.read_at if load else 0.0) and time.time() - begun < _LOADED_WITHIN
        posts = Counter(_column(table, "ind")) if table is not None else None
        found[kind] = Table(posts, bad[kind], load, loading)
    return found


def _versions(profile: Profile) -> list[int]:
    tables = [_open(profile, name) for name in (*TABLES, "quarantine")]
    return [table.version() if table is not None else -1 for table in tables]


def _open(profile: Profile, name: str) -> DeltaTable | None:
    if profile.stack is None:  # it lies in Databricks' own storage
        return None
    with _errors(f"table {profile.uid}_{name}"):
        try:
            return DeltaTable(str(warehouse(profile) / f"{profile.uid}_{name}"))
        except (TableNotFoundError, FileNotFoundError):
            return None


def _column(table: DeltaTable, name: str) -> list[Any]:
    with _errors(f"table {table.table_uri}"):
        return list(table.to_pyarrow_table(columns=[name]).column(name).to_pylist())


def _load(table: DeltaTable) -> Load | None:
    for said in _said(table):
        try:
            return Load(**{name: said[name] for name in Load.__dataclass_fields__})
        except (LookupError, TypeError):
            continue
    return None


def _quarantined_at(quarantine: DeltaTable, kind: str) -> float:
    """When the load began that wrote a table's part of the quarantine last; 0 where that is not known."""
    return next((said["read_at"] for said in _said(quarantine) if said.get("table") == kind), 0.0)


def _said(table: DeltaTable) -> Iterator[dict[str, Any]]:
    """What loads wrote into the table's commits, the newest first."""
    with _errors(f"table {table.table_uri}"):
        history = table.history(_COMMITS)
    for commit in history:
        # A history is of this moment, and the table of when it was opened.
        if commit["version"] > table.version():
            continue
        try:
            said = json.loads(commit.get("userMetadata") or "")
        except ValueError:
            continue
        if isinstance(said, dict):
            yield said


@contextmanager
def _errors(what: str) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise NotReady(f"{what}: {brief(error)}") from None
