"""The folder of DAGs of Airflow 2, kept as the bucket is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundation import supervised
from services.airflow.sync import sync


class Bucket:
    """Of an S3 client what `sync` calls; ``objects`` is key to content."""

    def __init__(self, **objects: str) -> None:
        self.objects = objects

    def get_paginator(self, operation: str) -> Bucket:
        return self

    def paginate(self, **of: str) -> Iterator[dict[str, Any]]:
        yield {"Contents": [{"Key": key, "ETag": f'"{hash(text)}"'} for key, text in self.objects.items()]}

    def download_file(self, bucket: str, key: str, target: str) -> None:
        Path(target).write_text(self.objects[key])


def test_files_come_change_and_go(tmp_path: Path) -> None:
    bucket = Bucket(**{"dags/a.py": "1", "dags/deep/b.py": "1", "dags/deep/": ""})
    have = sync(bucket, "b", tmp_path, {})
    bucket.objects["dags/a.py"] = "2"
    del bucket.objects["dags/deep/b.py"]
    sync(bucket, "b", tmp_path, have)
    assert {file.name: file.read_text() for file in tmp_path.rglob("*") if file.is_file()} == {"a.py": "2"}


def test_a_key_that_leads_out_of_the_folder_is_no_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    sync(Bucket(**{"dags/../out.py": "1", "dags//tmp/x.py": "1", "dags/in.py": "1"}), "b", tmp_path / "dags", {})
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["in.py"]


def test_a_failure_that_nobody_thought_of_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a disk that is full: the next turn fetches what is missing."""
    monkeypatch.setattr(supervised, "PAUSE", 0.01)
    bucket, done, have, turns = Bucket(**{"dags/a.py": "a"}), threading.Event(), dict[str, str](), []
    (tmp_path / ".a.py.incoming").mkdir()

    def work() -> None:
        turns.append(1)
        if len(turns) == 3:
            (tmp_path / ".a.py.incoming").rmdir()
        have.update(sync(bucket, "dags", tmp_path, have))
        done.set()

    thread = supervised.start("sync", work, every=0.01, stopping=done)
    assert done.wait(30)
    thread.join(30)
    assert (tmp_path / "a.py").read_text() == "a"
