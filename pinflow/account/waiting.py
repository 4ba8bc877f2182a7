"""Waiting until S3 holds everything that Kafka holds."""

from __future__ import annotations

import time

from foundation.errors import PinflowError
from foundation.profile import Profile
from foundation.service import Say
from pinflow.account import placed, read_skipped
from pinflow.account.objects import Bucket, Listed
from pinflow.account.offsets import below
from pinflow.account.topics import Topics

_LOOK_EVERY = 0.3
_STUCK_AFTER = 2.0
"""Seconds without a new object after which to read the missing records: nulls never arrive."""


def until_landed(profile: Profile, timeout: float, say: Say) -> dict[str, int]:
    """Wait until all records now in the topics are in S3 or were skipped; returns the lines in S3 by topic.

    Raises PinflowError after ``timeout`` seconds without progress. It looks at objects and dead letters, because the
    sink's committed offset stays before bad records at the end of a partition for ever.

    Does not wait for a sink on AWS: MSK's brokers can be reached only inside their VPC, and MSK Connect chooses its
    consumer groups' names.
    """
    if profile.stack is None:
        say(f"using what is in s3://{profile.storage.bucket} now; make doctor shows the age of the newest object")
        return {}
    bucket, said = Bucket(profile), time.monotonic()
    with Topics.of(profile) as topics:
        topics.refresh()
        wanted = {t: {n: p.end for n, p in numbered.items()} for t, numbered in topics.partitions.items()}
        before, since = -1, time.monotonic()
        while True:
            lines = {topic: _lines(bucket, topic) for topic in profile.topics}
            missing = _missing(topics, wanted, lines)
            now = time.monotonic()
            if not missing:
                return {topic: sum(found.values()) for topic, found in lines.items()}
            if missing != before:
                before, since = missing, now
            elif now - since > _STUCK_AFTER:
                for topic, found in lines.items():
                    read_skipped(topics, topic, found)
            if now - since > timeout:
                raise PinflowError(
                    f"S3 sink: {missing:,} records are not in s3://{profile.storage.bucket}, and none has arrived for "
                    f"{timeout:.0f} s",
                    "make status shows which, and the connector's state; make logs S=connect shows why",
                )
            if now - said > 2:
                say(f"waiting for the S3 sink: {missing:,} records to go")
                said = now
            time.sleep(_LOOK_EVERY)
            topics.refresh()


def until_refilled(profile: Profile, timeout: float, say: Say) -> None:
    """After LocalStack lost S3, wait until its hook has reset the sink, ``timeout`` seconds at most.

    The sign that it has not: the sink has committed records of a topic, not all skipped, that has no object.
    """
    began, bucket = time.monotonic(), Bucket(profile)
    with Topics.of(profile) as topics:
        while time.monotonic() - began < timeout:
            topics.refresh()
            landed = {
                topic: sum(
                    p.committed - p.begin - sum(p.begin <= o < p.committed for o in p.skipped) for p in of.values()
                )
                for topic, of in topics.partitions.items()
            }
            if all(bucket.listed(topic) for topic, records in landed.items() if records > 0):
                return
            say("LocalStack lost S3 in a restart: waiting until the sink writes Kafka's records again")
            time.sleep(1)


def _lines(bucket: Bucket, topic: str) -> dict[Listed, int]:
    found = bucket.listed(topic)
    counts = bucket.lines(found)
    return {one: counts[one.key] for one in found if one.key in counts}


def _missing(topics: Topics, wanted: dict[str, dict[int, int]], lines: dict[str, dict[Listed, int]]) -> int:
    """How many of the records below these offsets are nowhere."""
    return sum(
        below(placed(topics.partitions[topic][number], number, lines[topic]).missing, end)
        for topic, ends in wanted.items()
        for number, end in ends.items()
        if number in topics.partitions[topic]
    )
