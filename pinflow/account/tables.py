"""What lies in the Delta tables of this machine, read without Spark."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from pinflow.errors import NotReady, brief
from pinflow.profile import Profile
from services.spark.native import warehouse

_COMMITS = 20
"""Commits among which a load's own is looked for: after it there may be an OPTIMIZE of the user's."""


@dataclass(frozen=True)
class Load:
    """What a load says of itself in its commit: read_at is when it began to list the objects, seconds since 1970."""

    read_at: float
    records: int
    rows: int
    quarantined: int
    duplicates: int


@dataclass(frozen=True)
class Table:
    """A cleaned table: how often each post is in it, and the load that made it, where that is known."""

    posts: Counter[int]
    load: Load | None


def cleaned(profile: Profile, name: str) -> Table | None:
    """`<uid>_<name>`; None where there is no such table. Raises NotReady where it cannot be read."""
    table = _open(profile, name)
    return Table(Counter(_column(table, "ind")), _load(table)) if table is not None else None


def quarantined(profile: Profile, name: str = "quarantine") -> dict[str, Counter[bytes]]:
    """How often each record is in a quarantine table, by the table that it was for. Raises NotReady."""
    table = _open(profile, name)
    found: dict[str, Counter[bytes]] = {}
    if table is not None:
        columns = (_column(table, column) for column in ("table", "raw", "raw_bytes"))
        for of_table, text, data in zip(*columns, strict=True):
            found.setdefault(of_table, Counter())[data if data is not None else text.encode()] += 1
    return found


def stream_rows(profile: Profile) -> dict[str, tuple[int, int]]:
    """Rows of each stream's table and of its quarantine; without those whose table does not exist."""
    kinds = Counter(_column(quarantine, "table") if (quarantine := _open(profile, "stream_quarantine")) else [])
    tables = {kind: _open(profile, f"{kind}_table") for kind in ("pin", "geo", "user")}
    return {kind: (table.count(), kinds[kind]) for kind, table in tables.items() if table is not None}


def _open(profile: Profile, name: str) -> DeltaTable | None:
    if profile.stack is None:  # it lies in Databricks' own storage
        return None
    try:
        return DeltaTable(str(warehouse(profile) / f"{profile.uid}_{name}"))
    except (TableNotFoundError, FileNotFoundError):
        return None
    except (DeltaError, OSError) as error:
        raise NotReady(f"table {profile.uid}_{name}: {brief(error)}") from None


def _column(table: DeltaTable, name: str) -> list:  # type: ignore[type-arg]  # of the column's own type
    return list(table.to_pyarrow_table(columns=[name]).column(name).to_pylist())


def _load(table: DeltaTable) -> Load | None:
    for commit in table.history(_COMMITS):
        try:
            said = json.loads(commit.get("userMetadata") or "")
            return Load(**{name: said[name] for name in Load.__dataclass_fields__})
        except (ValueError, LookupError, TypeError):
            continue
    return None
