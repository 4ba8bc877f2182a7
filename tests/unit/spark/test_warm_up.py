"""The driver's warm-up: it ends when the cluster is wanted, whatever an earlier one has left, and leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.spark.cluster import warm_up


@pytest.mark.parametrize("before", ["nothing", "a table", "a directory without a table"])
@pytest.mark.parametrize(("steps", "says"), [(0, "wanted"), (1, "wanted"), (99, "warm")])
def test_it_ends_when_the_cluster_is_wanted_and_leaves_no_table(
    spark: Any, capsys: pytest.CaptureFixture[str], before: str, steps: int, says: str
) -> None:
    directory = Path(urlsplit(spark.conf.get("spark.sql.warehouse.dir")).path) / "warm_up"
    if before != "nothing":
        frame = spark.range(3).selectExpr("id as another").write.format("delta").mode("overwrite")
        frame.saveAsTable("warm_up") if before == "a table" else frame.save(str(directory))
    asked = iter(range(99))
    warm_up(spark, lambda: next(asked) >= steps)
    assert capsys.readouterr().err.startswith(f"{says} after ")
    assert not spark.catalog.tableExists("warm_up")
    assert before == "a directory without a table" or not directory.exists()
