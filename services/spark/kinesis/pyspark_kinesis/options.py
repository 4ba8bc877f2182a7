"""The options of Databricks' Kinesis connector: names, defaults and limits as its documentation gives them.

https://docs.databricks.com/aws/en/connect/streaming/kinesis (configuration) and .../read_kinesis

Two defaults differ. maxRecordsPerFetch is 1,000, not 10,000: kinesis-local takes ever more CPU for each record of
larger answers. fetchBufferSize is 32mb, not 20gb: it bounds a micro-batch, and the memory of one machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pyspark_kinesis.errors import KinesisError
from pyspark_kinesis.initial import Initial

WITHOUT_EFFECT = ("coalesceThresholdBlockSize", "coalesceBinSize", "inferSchema", "format")
"""Accepted, with nothing to do: a micro-batch is one block, and its columns are fixed."""

FAN_OUT = (
    "consumerName",
    "consumerNamePrefix",
    "consumerRefreshInterval",
    "registeredConsumerId",
    "registeredConsumerIdType",
    "requireConsumerDeregistration",
)
"""Belong to consumerMode=efo."""

CONSUMER_MODES = ("polling",)
"""What consumerMode may be."""

UNITY_CATALOG = ("serviceCredential",)
"""Belongs to a catalog that does not exist here."""


@dataclass(frozen=True)
class Stream:
    """One stream: its name or ARN as the user wrote it, which is its key in offsets, and the name that rows show."""

    key: str

    @property
    def name(self) -> str:
        return self.key.partition("/")[2] if self.key.startswith("arn:") else self.key

    @property
    def address(self) -> dict[str, str]:
        """The argument that every call on the stream takes."""
        return {"StreamARN": self.key} if self.key.startswith("arn:") else {"StreamName": self.key}


@dataclass(frozen=True)
class Options:
    """What the user asked for, checked. Times in seconds, sizes in bytes, rates in bytes per second and shard."""

    streams: tuple[Stream, ...]
    region: str | None = None
    endpoint: str | None = None
    initial: Initial | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    role_external_id: str | None = field(default=None, repr=False)
    role_session_name: str = "pyspark_kinesis"
    sts_endpoint: str | None = None
    max_records_per_fetch: int = 1_000
    max_fetch_rate: float = 1e6
    min_fetch_period: float = 0.4
    max_fetch_duration: float = 10.0
    fetch_buffer_size: int = 32 * 1024**2
    shard_fetch_interval: float = 1.0
    shards_per_task: int = 5
    max_partitions: int | None = None
    max_shards_per_describe: int = 100
    fail_on_data_loss: bool = True

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Options:
        """From the options as Spark passes them, whose names have lost their case. Raises KinesisError."""
        given = {name.lower(): str(value).strip() for name, value in options.items()}
        _refuse(given)
        values: dict[str, Any] = {}
        for name, (argument, reader) in _READERS.items():
            if name.lower() in given:
                try:
                    values[argument] = reader(given[name.lower()])
                except ValueError as error:
                    todo = "see the README of services/spark/kinesis"
                    raise KinesisError(f"option {name}: {error}", todo) from None
        names, arns = values.pop("stream_names", None), values.pop("stream_arns", None)
        if (names is None) == (arns is None):
            todo = '.option("streamName", "my-stream"); several are separated by commas'
            raise KinesisError("set streamName or streamARN, and not both", todo)
        if ("access_key" in values) != ("secret_key" in values):
            raise KinesisError("awsAccessKey and awsSecretKey belong together", "set both, or neither")
        if "max_partitions" in values and "shards_per_task" in values:
            raise KinesisError("maxPartitions and shardsPerTask exclude each other", "set one of them")
        return cls(streams=names or arns, **values)

    def tasks(self, shards: int) -> int:
        """How many readers ``shards`` open shards get: one for every shardsPerTask of them, or maxPartitions."""
        return max(1, min(shards, self.max_partitions or -(-shards // self.shards_per_task)))


def _refuse(given: Mapping[str, str]) -> None:
    known = {name.lower(): name for name in (*_READERS, "consumerMode", *WITHOUT_EFFECT, *FAN_OUT, *UNITY_CATALOG)}
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 1)
            todo = f"did you mean {known[close[0]]}?" if close else f"it has {', '.join(sorted(known.values()))}"
            raise KinesisError(f"the Kinesis source has no option {name}", todo)
    stand_in = "this stand-in for Databricks' source"
    mode = given.get("consumermode", "polling")
    if mode.lower() not in CONSUMER_MODES:
        todo = "remove consumerMode, or set it to polling"
        raise KinesisError(f"consumerMode {mode} is not supported by {stand_in}, which only polls", todo)
    for name in FAN_OUT:
        if name.lower() in given:
            what = f"{name} belongs to consumerMode efo, which is not supported by {stand_in}"
            raise KinesisError(what, f"remove {name}")
    for name in UNITY_CATALOG:
        if name.lower() in given:
            what = f"{name} is a credential of Unity Catalog, which is not supported by {stand_in}"
            raise KinesisError(what, "set awsAccessKey and awsSecretKey, or use the keys of the cluster's environment")


def _streams(text: str) -> tuple[Stream, ...]:
    streams = tuple(Stream(name.strip()) for name in text.split(",") if name.strip())
    if not streams or len(set(streams)) < len(streams):
        raise ValueError(f"{text!r} names {'a stream twice' if streams else 'no stream'}")
    return streams


def _arns(text: str) -> tuple[Stream, ...]:
    for stream in (streams := _streams(text)):
        if not re.fullmatch(r"arn:[\w-]+:kinesis:[\w-]+:\d+:stream/[\w.-]+", stream.key):
            raise ValueError(f"{stream.key} is not like arn:aws:kinesis:us-east-1:123456789012:stream/my-stream")
    return streams


def _text(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


def _url(text: str) -> str:
    return text if "://" in text else f"https://{_text(text)}"


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ValueError(f"{text!r} is not a whole number from 1 to 10000")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 2:
        raise ValueError(f"{text!r} is not a rate in MB/s above 0 and up to 2.0, which is Kinesis' own limit")
    return rate * 1e6


def _duration(least: float) -> Callable[[str], float]:
    units = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

    def read(text: str) -> float:
        form = re.fullmatch(r"(\d+(?:\.\d+)?) *(?:(ms|milli)|(s|m|h|d))[a-z]*", text.lower())
        if form is None:
            raise ValueError(f"{text!r} is not a duration like 400ms, 10s or 2m")
        seconds = float(form[1]) * units[form[2] or form[3]]
        if seconds < least:
            raise ValueError(f"{text!r} is less than {least * 1000:.0f}ms")
        return seconds

    return read


def _size(text: str) -> int:
    form = re.fullmatch(r"(\d+) *([kmgt]?)i?b?", text.lower())
    if form is None or int(form[1]) == 0:
        raise ValueError(f"{text!r} is not a size like 10mb or 2gb")
    factor: int = 1024 ** " kmgt".index(form[2] or " ")
    return int(form[1]) * factor


# For each option the field that it fills, and how its text is read.
_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "streamName": ("stream_names", _streams),
    "streamARN": ("stream_arns", _arns),
    "region": ("region", _text),
    "endpoint": ("endpoint", _url),
    "initialPosition": ("initial", Initial.parse),
    "awsAccessKey": ("access_key", _text),
    "awsSecretKey": ("secret_key", _text),
    "awsSessionToken": ("session_token", _text),
    "roleArn": ("role_arn", _text),
    "roleExternalId": ("role_external_id", _text),
    "roleSessionName": ("role_session_name", _text),
    "stsEndpoint": ("sts_endpoint", _url),
    "maxRecordsPerFetch": ("max_records_per_fetch", _count),
    "maxFetchRate": ("max_fetch_rate", _rate),
    "minFetchPeriod": ("min_fetch_period", _duration(0.2)),
    "maxFetchDuration": ("max_fetch_duration", _duration(0)),
    "fetchBufferSize": ("fetch_buffer_size", _size),
    "shardFetchInterval": ("shard_fetch_interval", _duration(0.1)),
    "shardsPerTask": ("shards_per_task", _count),
    "maxPartitions": ("max_partitions", _count),
    "maxShardsPerDescribe": ("max_shards_per_describe", _count),
    "failOnDataLoss": ("fail_on_data_loss", _flag),
}
