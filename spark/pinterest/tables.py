"""Creates tables that several runs may create at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts: the second run waits until the first has registered its table in the metastore."""
_TAKEN = "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"
_HIVES = "AlreadyExistsException"
"""The metastore's own error has no condition of Spark's."""


def create_table(
    spark: SparkSession,
    table: str,
    columns: str,
    *,
    partitioned_by: Sequence[str] = (),
    properties: Mapping[str, str] | None = None,
) -> None:
    """Create a Delta table unless it exists. ``columns`` as in DDL; ``properties`` with the prefix ``delta.``.

    Raises Spark's own error if the table cannot be created.
    """

    def create() -> None:
        if spark.catalog.tableExists(table):
            return
        partitions = f"partitioned by ({', '.join(partitioned_by)})" if partitioned_by else ""
        pairs = ", ".join(f"'{name}' = '{value}'" for name, value in (properties or {}).items())
        kept = f"tblproperties ({pairs})" if pairs else ""
        spark.sql(f"create table if not exists {table} ({columns}) using delta {partitions} {kept}")

    def adopt_orphan_directory() -> None:
        # Overwriting nothing with nothing makes Delta adopt an orphaned directory, with every row in it.
        if not spark.catalog.tableExists(table):
            nothing = spark.createDataFrame([], columns).write.format("delta").partitionBy(*partitioned_by)
            nothing.options(**(properties or {})).mode("overwrite").option("replaceWhere", "false").saveAsTable(table)

    try:
        retry_on_conflict(create)
    except PySparkException as error:
        if error.getCondition() != _TAKEN:
            raise
        # A run was killed after it wrote the directory and before the metastore knew the table.
        retry_on_conflict(adopt_orphan_directory)


def retry_on_conflict(change: Callable[[], object]) -> None:
    """Make a change that other runs may be making at the same moment; retry it after a conflict with them.

    Raises the error of the last attempt, and at once any error that is not a conflict.
    """
    for pause in _PAUSES:
        try:
            change()
            return
        except PySparkException as error:
            condition = error.getCondition() or ""
            if not condition.startswith("DELTA_") and "ALREADY_EXISTS" not in condition and _HIVES not in str(error):
                raise
            time.sleep(pause)
    change()
