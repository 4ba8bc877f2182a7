"""A connector's configuration, checked and typed. The rules stand in options.py, the options in options.yaml."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.connect import options
from services.connect.errors import ConfigError


@dataclass(frozen=True)
class SinkConfig:
    """What a task needs to know. Times in seconds; ``rotate_seconds`` is None without scheduled rotation."""

    name: str
    tasks_max: int
    topics: frozenset[str]
    topics_regex: re.Pattern[str] | None
    bucket: str
    region: str
    store_url: str | None
    path_style: bool
    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)
    retry_seconds: float
    topics_dir: str
    file_delim: str
    directory_delim: str
    offset_width: int
    flush_size: int
    rotate_seconds: float | None
    timezone: str
    ignore_nulls: bool
    report_nulls: bool
    tolerate_errors: bool
    log_errors: bool
    log_messages: bool
    dead_letter_topic: str | None
    dead_letter_replication: int
    dead_letter_headers: bool
    metadata_seconds: float
    consumer: Mapping[str, int]

    @property
    def group(self) -> str:
        """The consumer group that holds the connector's offsets, named as the real worker names it."""
        return f"connect-{self.name}"

    def takes(self, topic: str) -> bool:
        """Whether the connector reads this topic; the regex must match the whole name, as Java's matches()."""
        if self.topics_regex is not None:
            return self.topics_regex.fullmatch(topic) is not None
        return topic in self.topics

    @property
    def zone(self) -> datetime.tzinfo | None:
        """The time zone of scheduled rotation; None without rotation."""
        return None if self.rotate_seconds is None else options.timezone(self.timezone)

    @property
    def failure(self) -> str | None:
        """Why the connector cannot start, as a trace: the real one finds this out only after the REST call."""
        if self.rotate_seconds is None or self.timezone:
            return None
        reason = "timezone configuration must be set when using rotate.schedule.interval.ms"
        return f"org.apache.kafka.common.config.ConfigException: {reason}\n"


def parse(config: Mapping[str, str | None], worker: Mapping[str, str]) -> SinkConfig:
    """Check and type a configuration; raises ConfigError with all that is wrong with it.

    ``worker`` holds the worker's own properties: converters and `consumer.*` that a connector inherits.
    """
    if broken := options.crash(config, worker):
        raise ConfigError(broken, 500)
    found = [message for messages in options.errors(config, worker).values() for message in messages]
    if found:
        raise ConfigError(
            f"Connector configuration is invalid and contains the following {len(found)} error(s):\n"
            + "\n".join(found)
            + "\nYou can also find the above list of errors at the endpoint "
            "`/connector-plugins/{connectorType}/config/validate`"
        )
    v = {name: value.strip() for name, value in options.effective(config, worker).items()}

    def yes(name: str) -> bool:
        return v[name].lower() == "true"

    rotate = int(v["rotate.schedule.interval.ms"])
    return SinkConfig(
        name=str(config["name"]),  # with its blanks, if it has any: so it is stored, and so the REST API calls it
        tasks_max=int(v["tasks.max"]),
        topics=frozenset(topic.strip() for topic in v["topics"].split(",") if topic.strip()),
        topics_regex=re.compile(v["topics.regex"]) if v["topics.regex"] else None,
        bucket=v["s3.bucket.name"],
        region=v["s3.region"],
        store_url=v.get("store.url") or None,
        path_style=yes("s3.path.style.access.enabled"),
        access_key_id=v["aws.access.key.id"] or None,
        secret_access_key=v.get("aws.secret.access.key"),
        retry_seconds=int(v["s3.retry.backoff.ms"]) / 1000,
        topics_dir=v["topics.dir"],
        file_delim=v["file.delim"],
        directory_delim=v["directory.delim"],
        offset_width=int(v["filename.offset.zero.pad.width"]),
        flush_size=int(v["flush.size"]),
        rotate_seconds=rotate / 1000 if rotate > 0 else None,
        timezone=v["timezone"],
        ignore_nulls=v["behavior.on.null.values"].lower() == "ignore",
        report_nulls=yes("report.null.values.to.dlq"),
        tolerate_errors=v["errors.tolerance"] == "all",
        log_errors=yes("errors.log.enable"),
        log_messages=yes("errors.log.include.messages"),
        dead_letter_topic=v["errors.deadletterqueue.topic.name"] or None,
        dead_letter_replication=int(v["errors.deadletterqueue.topic.replication.factor"]),
        dead_letter_headers=yes("errors.deadletterqueue.context.headers.enable"),
        metadata_seconds=int(v["consumer.override.metadata.max.age.ms"]) / 1000,
        consumer={
            name: int(v[f"consumer.override.{name.replace('_', '.')}"])
            for name in ("max_poll_records", "fetch_max_wait_ms", "fetch_max_bytes", "max_partition_fetch_bytes")
        },
    )


def next_rotation(now: datetime.datetime, interval: float) -> float:
    """When files are rotated next: the least multiple of ``interval`` seconds since the zone's midnight after ``now``.

    Rotations lie on the wall clock (midnight, plus 2 s, plus 4 s, …), not on the task's start, as in the real sink.
    In seconds since the epoch, always after ``now``: a time of the wall clock would be ambiguous when clocks go back.
    """
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (now - midnight).total_seconds()  # on the wall clock: datetimes of one zone are subtracted as they read
    return now.timestamp() + interval - passed % interval
