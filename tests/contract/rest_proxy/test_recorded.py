"""The stand-in against what the real REST proxy answered: tests/recorded/rest_proxy."""

from __future__ import annotations

import uuid

import pytest

from tests.contract.rest_proxy.client import Client
from tests.recorded.cases import Attempt, Case, Target, load


@pytest.mark.parametrize("case", load("rest_proxy"), ids=lambda case: case.name)
def test_as_recorded(client: Client, case: Case) -> None:
    topic = client.new_topic(f"test.{uuid.uuid4()}", case.given.get("partitions", 1))
    names = {"topic": topic, "group": f"group-{uuid.uuid4()}", "absent": f"absent.{uuid.uuid4()}"}
    assert Attempt(Target(client.url, client.brokers, real=False), names).run(case) == []
