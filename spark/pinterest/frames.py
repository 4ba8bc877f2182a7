"""Frames that are persisted while they are used, and that no other run reuses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """The same frame, persisted until the end of the block.

    Spark's cache belongs to the driver, not to a session: any later plan that looks the same gets the persisted rows,
    even if files were added since. A unique condition, which is always true, makes this frame's plan unlike any other:
    no run reads what a killed run left in the cache.
    """
    own = frame.where(F.lit(uuid.uuid4().hex).isNotNull()).persist()
    try:
        yield own
    finally:
        own.unpersist()
