"""Keep the folder of the DAGs as dags/ in the bucket is, every few seconds, as MWAA.

Airflow 3's own S3DagBundle asks S3 at the start of each task, which takes half a second of a processor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PREFIX = "dags/"
EVERY = 2.0
AWAY = (BotoCoreError, ClientError)
"""What is raised while S3 does not answer; nothing is deleted then."""


def syncing() -> Callable[[], None]:
    """The function to call every few seconds; it remembers what is there."""
    by_path = Config(s3={"addressing_style": "path"}, retries={"mode": "standard"})
    s3 = boto3.client("s3", endpoint_url=os.environ["MWAA_S3_ENDPOINT_URL"] or None, config=by_path)
    folder, have = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]), dict[str, str]()
    folder.mkdir(parents=True, exist_ok=True)

    def once() -> None:
        nonlocal have
        have = sync(s3, os.environ["MWAA_BUCKET"], folder, have)

    return once


def sync(s3: object, bucket: str, folder: Path, have: dict[str, str]) -> dict[str, str]:
    """Fetch what changed since ``have`` (name to ETag), delete what is not there any more; returns what is there."""
    there: dict[str, str] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX):  # type: ignore[attr-defined]
        there |= {item["Key"].removeprefix(PREFIX): item["ETag"] for item in page.get("Contents", [])}
    # A key may hold "..": what would not lie below the folder is none of its files.
    below = folder.resolve()
    there = {name: tag for name, tag in there.items() if name and not name.endswith("/")}
    there = {name: tag for name, tag in there.items() if (folder / name).resolve().is_relative_to(below)}
    for name, tag in there.items():
        if have.get(name) != tag or not (folder / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            incoming = target.with_name(f".{target.name}.incoming")
            s3.download_file(bucket, PREFIX + name, str(incoming))  # type: ignore[attr-defined]
            incoming.rename(target)  # so that no file is read half
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        if file.relative_to(folder).as_posix() not in there and "__pycache__" not in file.parts:
            file.unlink()
    return there
