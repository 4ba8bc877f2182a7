"""The disk that file:/ is: on Databricks that of a throw-away node, here that of the user's own machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from services.spark.failures import JavaFailure


class LocalDisk:
    """`writable`: directories below which dbutils.fs may write and delete. It may read wherever the driver may."""

    def __init__(self, writable: Iterable[Path]) -> None:
        self._writable = [Path(os.path.realpath(path)) for path in writable]

    def require_writable(self, path: str) -> None:
        """Raise JavaFailure for a path that is elsewhere, or leads there by a symbolic link."""
        self._require(Path(os.path.realpath(path)), path)

    def require_removable(self, path: str) -> None:
        """As for writing; of a symbolic link the link itself counts, for only that is deleted."""
        parent, name = os.path.split(path)
        self._require(Path(os.path.realpath(parent)) / name, path)

    def _require(self, real: Path, path: str) -> None:
        if any(directory in real.parents for directory in self._writable):
            return
        raise JavaFailure(
            "org.apache.hadoop.security.AccessControlException",
            f"file:{path} is on the disk of this machine, and dbutils.fs changes only what is below "
            f"{', '.join(map(str, self._writable))}: on Databricks file:/ is the disk of a throw-away node, here it "
            "is yours. Use a path below one of these, or dbfs:/; to allow all of the disk, write `local_files: all` "
            "under `spark` in the profile, then `make up`",
        )
