"""The stand-in against what the real Connect worker with the S3 sink did: tests/recorded/connect."""

from __future__ import annotations

import pytest

from tests.contract.connect.world import Pipe, World
from tests.recorded.cases import Attempt, Case, Target, load


@pytest.mark.parametrize("case", load("connect"), ids=lambda case: case.name)
def test_as_recorded(world: World, case: Case) -> None:
    with Pipe(world, case.given.get("partitions", 1)) as pipe:
        names = {"uid": pipe.uid, "topic": pipe.topic, "connector": pipe.name, "bucket": pipe.bucket, "dlq": pipe.dead}
        names["s3_url"] = world.profile.aws.endpoint_url or ""
        assert Attempt(Target(world.url, world.brokers, real=False, s3=world.s3), names).run(case) == []
