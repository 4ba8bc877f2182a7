"""FolderLogStore lists what Delta's own store lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError

from services.spark import compat
from services.spark.cluster import LOG_STORE

NAMES = [
    *("00000000000000000009.json", "00000000000000000010.checkpoint.parquet", "00000000000000000010.crc"),
    *("00000000000000000010.json", "00000000000000000011.json", ".00000000000000000011.json.crc"),
    *("00000000000000000012.00000000000000000014.compacted.json", "_last_checkpoint", "größer %41 #.json"),
]


@pytest.fixture(scope="module")
def stores(gateway: Any) -> dict[str, Any]:
    """Delta's own store, and ours."""
    compat.add_log_store(gateway, LOG_STORE.read_text(encoding="utf-8"))
    configuration = gateway.jvm.org.apache.hadoop.conf.Configuration()
    made = {"configuration": configuration}
    for name in ("LocalLogStore", LOG_STORE.stem):
        constructor = gateway.jvm.java.lang.Class.forName(f"io.delta.storage.{name}").getConstructors()[0]
        arguments = gateway.new_array(gateway.jvm.java.lang.Object, 1)
        arguments[0] = configuration
        made[name] = constructor.newInstance(arguments)
    return made


def listed(gateway: Any, stores: dict[str, Any], name: str, first: Path) -> list[tuple[str, int, bool, int]]:
    path = gateway.jvm.org.apache.hadoop.fs.Path("file", "", str(first))
    found = stores[name].listFrom(path, stores["configuration"])
    files = []
    while found.hasNext():
        file = found.next()
        files.append((file.getPath().toString(), file.getLen(), file.isDirectory(), file.getModificationTime()))
    return files


@pytest.mark.parametrize("version", [0, 9, 10, 11, 99])
def test_it_lists_what_deltas_own_store_lists(
    gateway: Any, stores: dict[str, Any], tmp_path: Path, version: int
) -> None:
    log = tmp_path / "a b" / "_delta_log"
    (log / "_staged_commits").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (log / name).write_bytes(b"x" * number)
    first = log / f"{version:020}."
    ours = listed(gateway, stores, LOG_STORE.stem, first)
    assert ours == listed(gateway, stores, "LocalLogStore", first)
    assert len(ours) >= 3, "the folder, _last_checkpoint, and the name that is no version"


def test_a_folder_that_is_not_there_is_the_same_error(gateway: Any, stores: dict[str, Any], tmp_path: Path) -> None:
    for name in ("LocalLogStore", LOG_STORE.stem):
        with pytest.raises(Py4JJavaError, match=r"java\.io\.FileNotFoundException"):
            listed(gateway, stores, name, tmp_path / "none" / f"{0:020}.json")
