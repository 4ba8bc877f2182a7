"""What the person who started the query reads when it cannot go on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class KinesisError(Exception):
    """``what`` failed and where, and what to do about it."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what, todo)
        self.what, self.todo = what, todo

    def __str__(self) -> str:
        return f"{self.what}\n  {self.todo}"


class MissingStreamError(KinesisError):
    """There is no stream of that name."""


class DataLossError(KinesisError):
    """A position of the checkpoint that the stream no longer has, under ``failOnDataLoss``."""


class TransientError(Exception):
    """A call that may succeed in a moment: throttled, the service is away or in trouble."""


class ShardGoneError(Exception):
    """The stream has no such shard any more, and failOnDataLoss is off."""


@contextmanager
def shown_plainly() -> Iterator[None]:
    """Spark prints a KinesisError raised inside without the page of Python calls that led to it.

    The process that runs a data source ends with its first error, so nothing else is affected.
    """
    try:
        yield
    except KinesisError:
        os.environ["SPARK_HIDE_TRACEBACK"] = "1"
        raise


def say(text: str) -> None:
    """One line into Spark's log."""
    print(f"kinesis: {text}", file=sys.stderr, flush=True)
