"""What the account takes from the dead-letter topic."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from foundation.profile import load
from pinflow.account.topics import Partition, Topics


def letter(topic: str, offset: int, value: bytes | None) -> Any:
    says = {"topic": topic, "partition": "0", "offset": str(offset)}
    headers = [(f"__connect.errors.{name}", text.encode()) for name, text in says.items()]
    return SimpleNamespace(headers=headers, value=value)


@pytest.mark.parametrize("times", [1, 3])
def test_a_record_that_is_a_dead_letter_several_times_counts_once(times: int) -> None:
    """The sink sends those at the end of a partition again after each restart and rebalance."""
    profile = load("local")
    none: Any = None
    topics = Topics(profile, none, none)
    topic = profile.topics[0]
    topics.partitions[topic] = {0: Partition(end=9)}
    for _ in range(times):
        for offset, value in ((7, b"{bad"), (8, None)):
            topics._add_letter(letter(topic, offset, value))
    assert topics.partitions[topic][0].skipped == [7, 8]
    assert topics.partitions[topic][0].dead == {7}
