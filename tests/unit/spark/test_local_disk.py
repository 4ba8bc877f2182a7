"""Which paths of file:/ dbutils.fs may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.spark.failures import JavaFailure
from services.spark.local_disk import LocalDisk


@pytest.fixture
def disk(tmp_path: Path) -> LocalDisk:
    for name in ("scratch", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "scratch" / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "other-name").symlink_to(tmp_path / "scratch")
    return LocalDisk([tmp_path / "other-name"])


@pytest.mark.parametrize("path", ["scratch/a", "scratch/a/b", "other-name/a"])
def test_what_is_below_may_change(disk: LocalDisk, tmp_path: Path, path: str) -> None:
    disk.require_writable(str(tmp_path / path))
    disk.require_removable(str(tmp_path / path))


@pytest.mark.parametrize("path", ["scratch", "other-name", "mine", "mine/a", "scratch-2/a", "scratch/link/a", ".", "/"])
def test_what_is_elsewhere_may_not(disk: LocalDisk, tmp_path: Path, path: str) -> None:
    for require in (disk.require_writable, disk.require_removable):
        with pytest.raises(JavaFailure, match="local_files: all") as failed:
            require(str(tmp_path / path))
        assert (failed.value.status, failed.value.error_code) == (403, "PERMISSION_DENIED")


def test_a_link_that_leads_elsewhere_may_be_removed_but_not_written_to(disk: LocalDisk, tmp_path: Path) -> None:
    disk.require_removable(str(tmp_path / "scratch" / "link"))
    with pytest.raises(JavaFailure):
        disk.require_writable(str(tmp_path / "scratch" / "link"))


def test_all_of_the_disk_but_its_root(tmp_path: Path) -> None:
    LocalDisk([Path("/")]).require_removable(str(tmp_path))
    with pytest.raises(JavaFailure):
        LocalDisk([Path("/")]).require_removable("/")
