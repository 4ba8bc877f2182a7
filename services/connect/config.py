"""A connector's configuration, checked and typed. The rules are in options.py, the options in options.yaml."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from services.connect import options
from services.connect.errors import ConfigError

_CONSUMER = ("max_poll_records", "fetch_max_wait_ms", "fetch_max_bytes", "max_partition_fetch_bytes")


def _option(name: str, read: Callable[[str], Any] = str, *, repr: bool = True) -> Any:
    """A field that is read from the value of this option."""
    return field(metadata={"option": name, "read": read}, repr=repr)


def _is_true(value: str) -> bool:
    return value.lower() == "true"


def _or_none(value: str) -> str | None:
    return value or None


def _seconds(milliseconds: str) -> float:
    return int(milliseconds) / 1000


@dataclass(frozen=True)
class SinkConfig:
    """What a task needs to know. Times in seconds; ``rotate_seconds`` is None without scheduled rotation."""

    name: str
    consumer: Mapping[str, int]
    tasks_max: int = _option("tasks.max", int)
    topics: frozenset[str] = _option("topics", lambda text: frozenset(name.strip() for name in text.split(",")))
    topics_regex: str | None = _option("topics.regex", _or_none)
    bucket: str = _option("s3.bucket.name")
    region: str = _option("s3.region")
    store_url: str | None = _option("store.url", _or_none)
    path_style: bool = _option("s3.path.style.access.enabled", _is_true)
    access_key_id: str | None = _option("aws.access.key.id", _or_none)
    secret_access_key: str | None = _option("aws.secret.access.key", repr=False)
    retry_seconds: float = _option("s3.retry.backoff.ms", _seconds)
    topics_dir: str = _option("topics.dir")
    file_delim: str = _option("file.delim")
    directory_delim: str = _option("directory.delim")
    offset_width: int = _option("filename.offset.zero.pad.width", int)
    flush_size: int = _option("flush.size", int)
    rotate_seconds: float | None = _option(
        "rotate.schedule.interval.ms", lambda value: _seconds(value) if int(value) > 0 else None
    )
    timezone: str = _option("timezone")
    ignore_nulls: bool = _option("behavior.on.null.values", lambda value: value.lower() == "ignore")
    report_nulls: bool = _option("report.null.values.to.dlq", _is_true)
    tolerate_errors: bool = _option("errors.tolerance", lambda value: value == "all")
    log_errors: bool = _option("errors.log.enable", _is_true)
    log_messages: bool = _option("errors.log.include.messages", _is_true)
    dead_letter_topic: str | None = _option("errors.deadletterqueue.topic.name", _or_none)
    dead_letter_replication: int = _option("errors.deadletterqueue.topic.replication.factor", int)
    dead_letter_headers: bool = _option("errors.deadletterqueue.context.headers.enable", _is_true)
    metadata_seconds: float = _option("consumer.override.metadata.max.age.ms", _seconds)

    @property
    def group(self) -> str:
        """The consumer group that holds the connector's offsets, named as the real worker names it."""
        return f"connect-{self.name}"

    def reads(self, topic: str) -> bool:
        """Whether the connector reads this topic; the regex must match the whole name, as Java's matches()."""
        if self.topics_regex is not None:
            return re.fullmatch(self.topics_regex, topic) is not None
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


def _value(metadata: Mapping[str, Any], values: Mapping[str, str]) -> Any:
    text = values.get(metadata["option"])
    return None if text is None else metadata["read"](text)


def parse(config: Mapping[str, str | None], worker: Mapping[str, str]) -> SinkConfig:
    """Check and type a configuration; raises ConfigError with all of its problems.

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
    values = {name: value.strip() for name, value in options.effective(config, worker).items()}
    return SinkConfig(
        name=str(config["name"]),  # not stripped: the real worker stores and names it with its blanks
        consumer={name: int(values[f"consumer.override.{name.replace('_', '.')}"]) for name in _CONSUMER},
        **{one.name: _value(one.metadata, values) for one in fields(SinkConfig) if one.metadata},
    )


def next_rotation(now: datetime.datetime, interval: float) -> float:
    """When files are rotated next: the least multiple of ``interval`` seconds since the zone's midnight after ``now``.

    Rotations lie on the wall clock (midnight, plus 2 s, plus 4 s, …), not on the task's start, as in the real sink.
    In seconds since the epoch, always after ``now``: a time of the wall clock would be ambiguous when clocks go back.
    """
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (now - midnight).total_seconds()  # on the wall clock: datetimes of one zone are subtracted as they read
    return now.timestamp() + interval - passed % interval
