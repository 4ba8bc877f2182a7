"""Paths of S3 that hold keys."""

from __future__ import annotations

import pytest

from services.databricks.notebook.session import without_keys


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
