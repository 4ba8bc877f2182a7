"""What the sink makes of the options that no other test sets."""

from __future__ import annotations

from typing import Any

import pytest

from services.connect.options import OPTIONS
from tests.unit.test_connect_options import parsed, refusal


@pytest.mark.parametrize(
    ("option", "value", "field", "read"),
    [
        ("errors.log.include.messages", "true", "log_messages", True),
        ("errors.deadletterqueue.topic.name", "dlq-other", "dead_letter_topic", "dlq-other"),
        ("errors.deadletterqueue.topic.replication.factor", "1", "dead_letter_replication", 1),
        ("s3.region", "eu-west-1", "region", "eu-west-1"),
        ("s3.path.style.access.enabled", "false", "path_style", False),
        ("aws.access.key.id", "AKIA", "access_key_id", "AKIA"),
        ("s3.retry.backoff.ms", "1500", "retry_seconds", 1.5),
        ("directory.delim", "|", "directory_delim", "|"),
        ("consumer.override.metadata.max.age.ms", "700", "metadata_seconds", 0.7),
    ],
)
def test_a_value_is_read(option: str, value: str, field: str, read: Any) -> None:
    assert getattr(parsed(**{option: value}), field) == read


@pytest.mark.parametrize(
    "option",
    [
        "consumer.override.max.poll.records",
        "consumer.override.fetch.max.wait.ms",
        "consumer.override.fetch.max.bytes",
        "consumer.override.max.partition.fetch.bytes",
    ],
)
def test_a_limit_of_the_consumer_is_read(option: str) -> None:
    name = option.removeprefix("consumer.override.").replace(".", "_")
    assert parsed(**{option: "4321"}).consumer[name] == 4321


@pytest.mark.parametrize("option", [option.name for option in OPTIONS.values() if option.allowed])
def test_another_value_than_those_allowed_is_refused(option: str) -> None:
    assert "Invalid value no-such-value" in refusal(**{option: "no-such-value"})
