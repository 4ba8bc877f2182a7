"""Frames that are kept while they are used, and never found by anybody else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@contextmanager
def persisted(frame: DataFrame) -> Iterator[DataFrame]:
    """The same frame, persisted until the end of the block.

    Spark's cache belongs to the driver, not to a session: it gives what one run has kept to any later plan that looks
    the same, and files that came since do not make a plan look different. A condition of its own, which is always
    true, makes this frame like no other, so that not even a copy left by a killed run is ever taken for today's.
    """
    own = frame.where(F.lit(uuid.uuid4().hex).isNotNull()).persist()
    try:
        yield own
    finally:
        own.unpersist()
