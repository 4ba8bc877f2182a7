"""Paths of S3 that hold keys, and of a driver's disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.databricks.notebook.local_paths import OnDisk
from services.databricks.notebook.session import without_keys
from services.databricks.notebook.workspace import Workspace


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("s3n://KEY:a%2Fb@bucket/topics/*.json", "s3n://bucket/topics/*.json"),
        ("s3a://KEY:a/b+c@bucket/", "s3a://bucket/"),
        (["s3://K:S@b/1", "/mnt/x@y:z@"], ["s3://b/1", "/mnt/x@y:z@"]),
        ("s3a://bucket/a:b@c", "s3a://bucket/a:b@c"),
        (None, None),
    ],
)
def test_keys_are_taken_out(path: object, clean: object) -> None:
    assert without_keys(path) == clean


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("file:/databricks/driver/a.csv", "file:{root}/Users/me/a.csv"),
        ("file:///databricks/driver/", "file:{root}/Users/me/"),
        ("file:/databricks/driver", "file:{root}/Users/me"),
        ("file:/Workspace/Users/you/b c.csv", "file:{root}/Users/you/b c.csv"),
        (["file:/databricks/driver/a", "dbfs:/b"], ["file:{root}/Users/me/a", "dbfs:/b"]),
        ("file:/dbfs/mnt/a b/*.csv", "dbfs:/mnt/a b/*.csv"),
        ("file:/dbfsx/a", "file:/dbfsx/a"),
        ("file:/databricks/driver-logs/a", "file:/databricks/driver-logs/a"),
        ("file:///tmp/a", "file:///tmp/a"),
        ("/databricks/driver/a", "/databricks/driver/a"),
        (None, None),
    ],
)
def test_a_drivers_disk_is_the_runs_first_directory(tmp_path: Path, given: object, found: object) -> None:
    on_disk = OnDisk(Workspace(tmp_path), tmp_path / "Users/me")
    assert repr(on_disk.url(given)) == repr(found).replace("{root}", str(tmp_path))
    assert on_disk.path("/databricks/driver/x") == f"{tmp_path}/Users/me/x"
