"""The keys that a workspace of this kind starts with: an uploaded CSV file, and the Delta table of the same rows."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
from pathlib import Path
from typing import Any

from foundation.private_file import write_private

NAME = "authentication_credentials"
USER = "databricks-user"
HEADER = ("User name", "Access key ID", "Secret access key")


def provide(spark: Any, dbfs: Path, access_key: str, secret_key: str, memory: Path) -> bool:
    """Create both unless they exist with these keys; returns whether it had to. ``dbfs`` is dbfs:/ on this machine.

    dbfs:/FileStore/tables/authentication_credentials.csv, dbfs:/user/hive/warehouse/authentication_credentials; only
    the owner can read them on this machine. ``memory`` is a file with the digest of what was created last: where a user
    put a file of their own in its place, both stay as they are.
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
    # Until both exist, a file with any of these digests is ours: a start may be killed, and the keys may change.
    write_private(memory, f"{made} {new} unfinished")
    # Hadoop would find that the checksum of an older file does not fit.
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    write_private(file, content)
    # Not overwritten: older versions of a Delta table keep the old keys.
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
    write_private(memory, new)
    return True


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _csv(access_key: str, secret_key: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, (USER, access_key, secret_key)])
    return text.getvalue()
