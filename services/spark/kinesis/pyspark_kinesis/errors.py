"""What the user who started the query reads when it cannot go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark_kinesis import compat


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
    """A call that may succeed in a moment: throttled, or the service does not answer or fails."""


class ShardGoneError(Exception):
    """The stream no longer has such a shard, and failOnDataLoss is off."""


@contextmanager
def shown_plainly() -> Iterator[None]:
    """Show a KinesisError without a traceback. The process of a data source exits with its first error."""
    try:
        yield
    except KinesisError:
        compat.hide_traceback()
        raise


def say(text: str) -> None:
    """One line in Spark's log."""
    print(f"kinesis: {text}", file=sys.stderr, flush=True)
