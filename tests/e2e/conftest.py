"""One stack for all end-to-end tests: starting it is most of their time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.waiting import wait_for
from tests.stack import TestStack, running

# Secrets of the stack under test, which must turn up nowhere.
CANARIES = ("PINFLOW_DATABASE_PASSWORD", "PINFLOW_AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="package")
def stack() -> Iterator[TestStack]:
    """A whole stack on ports of its own, gone after the tests."""
    with pytest.MonkeyPatch.context() as environment:
        for name in CANARIES:
            environment.setenv(name, f"canary-{name.lower()}-7d1f/+=")
        yield from running("e2e")


@pytest.fixture(scope="package")
def posted(stack: TestStack) -> TestStack:
    """The stack after `make emulate-batch`, with everything in S3."""
    return post(stack)


def post(stack: TestStack) -> TestStack:
    """500 posts, and wait until they are in S3."""
    summary = stack.emulate("--count", "500", "--rate", "max")
    assert (summary["posts"], summary["different_posts"], summary["records"]) == (500, 494, 1500)
    assert summary["failures"] == 0
    wait_for("1,500 records in S3", lambda: records_in_s3(stack) >= 1500)
    return stack


def records_in_s3(stack: TestStack) -> int:
    """Lines of all objects of all topics."""
    return sum(len(lines) for topic in stack.profile.topics for lines in stack.objects(topic).values())
