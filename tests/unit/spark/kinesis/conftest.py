"""The Kinesis source without Spark and without Kinesis."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark_kinesis.options import Options
    from pyspark_kinesis.prefetch import Prefetch
    from pyspark_kinesis.shard import Cursor
    from tests.unit.spark.kinesis.fake import FakeKinesis

collect_ignore_glob = [] if importlib.util.find_spec("pyspark") else ["test_*.py"]
sys.path.insert(0, str(Path(__file__).parents[4] / "services" / "spark" / "kinesis"))


@pytest.fixture
def kinesis() -> FakeKinesis:
    """A stream ``s`` without shards."""
    from tests.unit.spark.kinesis.fake import FakeKinesis

    return FakeKinesis("s")


@pytest.fixture
def options() -> Callable[..., Options]:
    """Options for the stream ``s``, read as fast as that goes."""
    from pyspark_kinesis.options import Options

    def make(**given: str) -> Options:
        return Options.parse({"streamName": "s", "minFetchPeriod": "200ms", "shardFetchInterval": "100ms"} | given)

    return make


@pytest.fixture
def cursor(kinesis: FakeKinesis, options: Callable[..., Options]) -> Callable[..., Cursor]:
    """A cursor in a shard of ``s`` at a position."""
    from pyspark_kinesis.client import Kinesis
    from pyspark_kinesis.shard import Cursor

    def make(number: int, position: Any, **given: str) -> Cursor:
        calls, chosen = Kinesis(options(**given), kinesis), options(**given)
        shard = next(shard for shard in calls.shards(chosen.streams[0]) if shard.id == f"shardId-{number:012d}")
        return Cursor(calls, chosen, chosen.streams[0], shard, position)

    return make


@pytest.fixture
def prefetch(kinesis: FakeKinesis, options: Callable[..., Options]) -> Iterator[Callable[..., Prefetch]]:
    """A started Prefetch; it is stopped at the test's end."""
    from pyspark_kinesis.client import Kinesis
    from pyspark_kinesis.offsets import TRIM_HORIZON
    from pyspark_kinesis.prefetch import Prefetch

    made: list[Prefetch] = []

    def make(positions: Any = None, initial: Any = TRIM_HORIZON, target: int | None = None, **given: str) -> Prefetch:
        chosen = options(**given)
        made.append(Prefetch(Kinesis(chosen, kinesis), chosen, positions or {}, initial, target))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()
