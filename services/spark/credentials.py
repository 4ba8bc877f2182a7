"""The keys that a workspace of this kind starts with: a CSV file that was uploaded, and the Delta table made of it."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

NAME = "authentication_credentials"
USER = "databricks-user"
HEADER = ("User name", "Access key ID", "Secret access key")


def provide(spark: Any, dbfs: Path, access_key: str, secret_key: str, memory: Path) -> bool:
    """Make both unless they are there with these keys; whether it had to. ``dbfs`` is dbfs:/ on this machine.

    dbfs:/FileStore/tables/authentication_credentials.csv, dbfs:/user/hive/warehouse/authentication_credentials; both
    are the owner's alone on this machine. ``memory`` is a file that tells what was made the last time: where a user
    put a file in its place both stay as they are.
    """
    file, table = dbfs / "FileStore" / "tables" / f"{NAME}.csv", dbfs / "user" / "hive" / "warehouse" / NAME
    content = _csv(access_key, secret_key)
    made = memory.read_text(encoding="utf-8") if memory.exists() else ""
    found = _digest(file.read_bytes()) if file.exists() else None
    new = _digest(content.encode())
    if found not in (None, new, *made.split()):
        return False
    if found == new == made and (table / "_delta_log").is_dir():
        return False
    # Until both are made, whichever of these the file has is ours: a start may break off, and the keys change.
    _write(memory, f"{made} {new} unfinished")
    _write(file, content)
    # Not overwritten: older versions of a Delta table keep what was in it.
    spark.sql(f"drop table if exists default.{NAME}")
    shutil.rmtree(table, ignore_errors=True)
    table.mkdir(mode=0o700, parents=True)
    # Names with spaces need Delta's column mapping, as for a table that the console makes of such a file.
    spark.sql(
        f"create table default.{NAME} ({', '.join(f'`{name}` string' for name in HEADER)}) using delta "
        "tblproperties ('delta.columnMapping.mode' = 'name')"
    )
    rows = spark.read.schema(", ".join(f"`{name}` string" for name in HEADER)).option("header", True)
    rows.csv(f"dbfs:/FileStore/tables/{NAME}.csv").coalesce(1).write.mode("append").saveAsTable(f"default.{NAME}")
    _write(memory, new)
    return True


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _csv(access_key: str, secret_key: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, (USER, access_key, secret_key)])
    return text.getvalue()


def _write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Hadoop would find that the sum of an older file does not fit.
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    draft = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as new:
        new.write(content)
    draft.replace(file)
