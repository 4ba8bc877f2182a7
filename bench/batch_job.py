"""(c) the batch job at 1, 10 and 100 times the rows, beside DuckDB on the same files and the naive way."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb

from foundation.packages import python
from foundation.paths import ROOT
from foundation.registry import TABLES
from tests.stack import TestStack

LINES_PER_OBJECT = 2000

# In a process of the stack's own checkout, which may be another than this one.
_JOB = """
import sys, time
from foundation.profile import load
from pinflow import batch
profile = load(sys.argv[1]).model_copy(update={"uid": sys.argv[2]})
began = time.monotonic()
batch.run(profile, lambda text: None)
print(time.monotonic() - began)
"""


@dataclass(frozen=True)
class BatchTime:
    """Seconds of the warm batch job, and of DuckDB for the same answers."""

    spark: float
    duckdb: float


def at_scale(stack: TestStack, scale: int) -> BatchTime:
    """The warm job from JSON in S3 to all answers in Delta, and DuckDB from the same JSON on disk to the answers.

    ``scale`` is how many times the 11,154 posts of the source there are.
    """
    uid = f"{scale:012x}"
    with tempfile.TemporaryDirectory(dir=ROOT / ".pinflow") as directory:
        _put_all(stack, uid, scale, LINES_PER_OBJECT, Path(directory))
        duckdb_seconds = _seconds(lambda: _answer_with_duckdb(Path(directory)))
    runs = [_job(stack, uid) for _ in range(3 if scale < 100 else 2)]
    _delete_all(stack, uid)
    return BatchTime(min(runs[1:]), duckdb_seconds)


def naive(stack: TestStack) -> float:
    """Seconds of the common notebook's way at 1x: one object per record, a glob, an inferred schema; read and count."""
    uid = f"{0:012x}"
    _put_all(stack, uid, 1, 1)
    script = Path(__file__).with_name("naive_notebook.py")
    topics = f"s3a://{stack.profile.storage.bucket}/topics/{uid}"
    command = [str(python("spark")), str(script), stack.profile.spark.remote, topics]
    seconds = _seconds(lambda: subprocess.run(command, check=True, capture_output=True))
    _delete_all(stack, uid)
    return seconds


def _job(stack: TestStack, uid: str) -> float:
    """Seconds of one run of the job over the objects of a uid."""
    return float(stack.run(stack.python, "-c", _JOB, str(stack.profile.path), uid).stdout)


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _answer_with_duckdb(directory: Path) -> None:
    """Read pin/, geo/ and user/ below ``directory`` and answer all ten questions."""
    script = Path(__file__).with_name("questions.sql").read_text(encoding="utf-8").format(directory=directory)
    with duckdb.connect() as connection:
        for statement in duckdb.extract_statements(script):
            connection.execute(statement).fetchall()


def _put_all(stack: TestStack, uid: str, scale: int, lines_per_object: int, copies: Path | None = None) -> None:
    """Put all rows into S3 as the sink does, and into files below ``copies``."""
    s3, bucket, source = stack.client("s3"), stack.profile.storage.bucket, stack.source()
    for name, table in TABLES.items():
        topic, folder = f"{uid}.{name}", copies and copies / name
        if folder:
            folder.mkdir()

        def put(numbered: tuple[int, bytes], topic: str = topic, folder: Path | None = folder) -> None:
            number, body = numbered
            file = f"{topic}+0+{number * lines_per_object:010d}.json"
            s3.put_object(Bucket=bucket, Key=f"topics/{topic}/partition=0/{file}", Body=body)
            if folder:
                (folder / file).write_bytes(body)

        rows = [dict(zip(table.columns, row, strict=True)) for row in source[table.source]]
        posts = ({**row, table.key: row[table.key] + copy * len(rows)} for copy in range(scale) for row in rows)
        objects = enumerate(_objects(posts, lines_per_object))
        with ThreadPoolExecutor(4) as pool:
            # 64 at a time: 100 times the rows are too many to hold in memory.
            while some := list(islice(objects, 64)):
                list(pool.map(put, some))


def _objects(posts: Iterator[dict[str, object]], size: int) -> Iterator[bytes]:
    """The posts as JSON lines, ``size`` in each object."""
    while some := list(islice(posts, size)):
        lines = (json.dumps(post, ensure_ascii=False, default=lambda value: value.isoformat()) for post in some)
        yield ("\n".join(lines) + "\n").encode()


def _delete_all(stack: TestStack, uid: str) -> None:
    s3, bucket = stack.client("s3"), stack.profile.storage.bucket
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"topics/{uid}."):
        if keys := [{"Key": item["Key"]} for item in page.get("Contents", [])]:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
