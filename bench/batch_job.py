"""(c) the batch job at 1, 10 and 100 times the rows, beside DuckDB on the same files and the naive way."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import duck
from foundation.packages import python
from foundation.profile import ROOT, Profile
from foundation.registry import TABLES
from pinflow import batch
from tests.stack import TestStack

LINES_PER_OBJECT = 2000


@dataclass(frozen=True)
class BatchTime:
    """Seconds of the batch job and of DuckDB for the same answers, at ``scale`` times 11,154 posts."""

    scale: int
    spark: float
    duckdb: float


def at_scale(stack: TestStack, scale: int) -> BatchTime:
    """The warm job from JSON in S3 to all answers in Delta, and DuckDB from the same JSON on disk to the answers."""
    uid = f"{scale:012x}"
    with tempfile.TemporaryDirectory(dir=ROOT / ".pinflow") as directory:
        for kind in TABLES:
            _put_all(stack, uid, kind, scale, Path(directory))
        began = time.monotonic()
        duck.answers(Path(directory))
        duckdb_seconds = time.monotonic() - began
    profile = stack.profile.model_copy(update={"uid": uid})
    _batch(profile)
    spark_seconds = min(_batch(profile) for _ in range(2 if scale < 100 else 1))
    _delete_all(stack, uid)
    return BatchTime(scale, spark_seconds, duckdb_seconds)


def naive(stack: TestStack) -> float:
    """Seconds of the common notebook's way at 1x: one object a record, a glob, an inferred schema; read and count."""
    uid = f"{0:012x}"
    for kind in TABLES:
        _put_all(stack, uid, kind, 1, None, lines_per_object=1)
    began = time.monotonic()
    script = Path(__file__).with_name("naive_notebook.py")
    arguments = [stack.profile.spark.remote, f"s3a://{stack.profile.storage.bucket}/topics/{uid}"]
    subprocess.run([str(python("spark")), str(script), *arguments], check=True, capture_output=True)
    seconds = time.monotonic() - began
    _delete_all(stack, uid)
    return seconds


def _batch(profile: Profile) -> float:
    began = time.monotonic()
    batch.run(profile, lambda text: None)
    return time.monotonic() - began


def _put_all(
    stack: TestStack, uid: str, kind: str, scale: int, local: Path | None, lines_per_object: int = LINES_PER_OBJECT
) -> None:
    s3, bucket, topic = stack.client("s3"), stack.profile.storage.bucket, f"{uid}.{kind}"
    if local:
        (local / kind).mkdir()

    def put(chunk: tuple[int, bytes]) -> None:
        offset, body = chunk
        name = f"{topic}+0+{offset:010d}.json"
        s3.put_object(Bucket=bucket, Key=f"topics/{topic}/partition=0/{name}", Body=body)
        if local:
            (local / kind / name).write_bytes(body)

    with ThreadPoolExecutor(4) as pool:
        # In slices, so that 100 times the rows do not lie in memory all at once.
        chunks = _chunks(stack, kind, scale, lines_per_object)
        while batch := [chunk for _, chunk in zip(range(64), chunks, strict=False)]:
            list(pool.map(put, batch))


def _chunks(stack: TestStack, kind: str, scale: int, size: int) -> Iterator[tuple[int, bytes]]:
    rows, columns = stack.source()[TABLES[kind].source], list(TABLES[kind].columns)
    offset = 0
    lines: list[str] = []
    for copy in range(scale):
        for row in rows:
            post = dict(zip(columns, row, strict=True)) | {columns[0]: row[0] + copy * len(rows)}
            lines.append(json.dumps(post, ensure_ascii=False, default=lambda value: value.isoformat()))
            if len(lines) == size:
                yield offset, ("\n".join(lines) + "\n").encode()
                offset, lines = offset + size, []
    if lines:
        yield offset, ("\n".join(lines) + "\n").encode()


def _delete_all(stack: TestStack, uid: str) -> None:
    s3, bucket = stack.client("s3"), stack.profile.storage.bucket
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"topics/{uid}."):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        if keys:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
