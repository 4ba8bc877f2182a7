"""Keep the folder of the DAGs like dags/ in the bucket, every few seconds, as MWAA does.

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
"""What is raised while S3 does not answer. Nothing is deleted then."""


def syncing() -> Callable[[], None]:
    """The function to call every few seconds; it remembers what the folder has."""
    by_path = Config(s3={"addressing_style": "path"}, retries={"mode": "standard"})
    s3 = boto3.client("s3", endpoint_url=os.environ["MWAA_S3_ENDPOINT_URL"] or None, config=by_path)
    folder, have = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]), dict[str, str]()
    folder.mkdir(parents=True, exist_ok=True)

    def once() -> None:
        nonlocal have
        have = sync(s3, os.environ["MWAA_BUCKET"], folder, have)

    return once


def sync(s3: object, bucket: str, folder: Path, have: dict[str, str]) -> dict[str, str]:
    """Download what changed since ``have`` (name to ETag), delete what the bucket has no more; returns what it has."""
    found: dict[str, str] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX):  # type: ignore[attr-defined]
        found |= {item["Key"].removeprefix(PREFIX): item["ETag"] for item in page.get("Contents", [])}
    # A key may hold "..": what would not be below the folder is none of its files.
    root = folder.resolve()
    found = {name: tag for name, tag in found.items() if name and not name.endswith("/")}
    found = {name: tag for name, tag in found.items() if (folder / name).resolve().is_relative_to(root)}
    for name, tag in found.items():
        if have.get(name) != tag or not (folder / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            incoming = target.with_name(f".{target.name}.incoming")
            s3.download_file(bucket, PREFIX + name, str(incoming))  # type: ignore[attr-defined]
            incoming.rename(target)  # so that nobody reads half a file
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        if file.relative_to(folder).as_posix() not in found and "__pycache__" not in file.parts:
            file.unlink()
    return found
