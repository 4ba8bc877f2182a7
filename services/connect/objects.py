"""The objects of one topic partition in S3: their keys, what they already hold, and writing the next one.

The metadata of every object holds where the next one begins (`next-offset`) and the id of its topic (`topic-id`; a
topic that is created anew gets another): after a kill the objects show what was written, whether the offset was
committed or not. Writes are conditional (If-None-Match: *), so no second writer can ever replace an object.
"""

from __future__ import annotations

import bisect
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError

from services.connect import compat
from services.connect.config import SinkConfig
from services.connect.errors import TaskError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_BACKOFF = 5.0  # seconds between two attempts while S3 is away
_THROTTLED = ("SlowDown", "Throttling", "ThrottlingException")
_TRANSIENT = (*_THROTTLED, "RequestTimeout", "RequestTimeTooSkewed", "InternalError")


class Stopped(Exception):
    """The task was stopped while it was waiting for S3."""


class Conflict(Exception):
    """An object that this task did not write holds offsets that it was about to write."""


@dataclass(frozen=True)
class Batch:
    """The records of one object: offsets ``start`` to below ``next_offset``, as finished lines.

    ``follows`` is where the object before it ended: what can be committed as long as this one is not written.
    """

    start: int
    next_offset: int
    records: int
    body: bytes
    follows: int


@dataclass(frozen=True)
class Written:
    """What an existing object holds: offsets from its key's to below ``next_offset``."""

    next_offset: int
    topic_id: str | None


class Bucket:
    """The connector's bucket: a thread-safe client that retries while S3 is down.

    Refused connections, timeouts, throttling and 5xx are retried without end, with exponential backoff and jitter;
    a missing bucket or denied access raises TaskError; Stopped is raised as soon as ``stop`` is set.
    """

    def __init__(self, config: SinkConfig, stop: threading.Event) -> None:
        self.name = config.bucket
        self._config = config
        self._stop = stop
        self._client: S3Client = boto3.session.Session().client(
            "s3",
            region_name=config.region,
            endpoint_url=config.store_url,
            aws_access_key_id=config.access_key_id,
            aws_secret_access_key=config.secret_access_key,
            config=Config(
                s3={"addressing_style": "path" if config.path_style else "auto"},
                retries={"total_max_attempts": 1},
                connect_timeout=3,
                read_timeout=20,
                max_pool_connections=16,
                # Checksums in trailers cost a second pass over the body and are not needed for integrity here.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        compat.list_plain_keys(self._client)

    def check(self) -> None:
        """Raise TaskError if the bucket does not exist, as the real sink's task does when it starts."""
        self._call(lambda: self._client.head_bucket(Bucket=self.name))

    def put(self, key: str, batch: Batch, topic_id: str, *, replace: bool = False) -> bool:
        """Write an object; False if one with that key exists (unless ``replace``)."""
        metadata = {"next-offset": str(batch.next_offset), "records": str(batch.records), "topic-id": topic_id}

        def attempt() -> bool:
            condition = {} if replace else {"IfNoneMatch": "*"}
            try:
                self._client.put_object(
                    Bucket=self.name,
                    Key=key,
                    Body=batch.body,
                    Metadata=metadata,
                    ContentType="application/json",
                    **condition,  # type: ignore[arg-type]
                )
            except ClientError as error:
                if _code(error) in ("PreconditionFailed", "412"):
                    return False
                raise
            return True

        return self._call(attempt)

    def head(self, key: str, start: int) -> Written | None:
        """What the object holds, None if there is none. One of the real sink's has no metadata: its lines count."""

        def attempt() -> Written | None:
            try:
                metadata = self._client.head_object(Bucket=self.name, Key=key)["Metadata"]
                if "next-offset" in metadata:
                    return Written(int(metadata["next-offset"]), metadata.get("topic-id"))
                lines = sum(1 for _ in self._client.get_object(Bucket=self.name, Key=key)["Body"].iter_lines())
                return Written(start + lines, None)
            except ClientError as error:
                if _code(error) in ("404", "NoSuchKey"):
                    return None
                raise

        return self._call(attempt)

    def starts(self, prefix: str, suffix: str, after: str) -> list[int]:
        """The start offsets in the keys that begin with ``prefix`` and come after the key ``after``, ascending."""

        def attempt() -> list[int]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, StartAfter=after
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
            texts = [key[len(prefix) : -len(suffix)] for key in keys if key.endswith(suffix)]
            return sorted(int(text) for text in texts if text.isdigit())

        return self._call(attempt)

    def _call(self, attempt: Callable[[], T]) -> T:
        wait = self._config.retry_seconds
        waited = 0.0
        while not self._stop.is_set():
            try:
                result = attempt()
                if waited:
                    log.info("S3 answers again after %.0f s", waited)
                return result
            except (ClientError, BotoCoreError, HTTPClientError) as error:
                self._raise_if_final(error)
                if not waited:
                    log.warning("S3 (bucket %s) does not answer, retrying: %s", self.name, error)
            pause = wait * random.uniform(0.8, 1.2)
            self._stop.wait(pause)
            waited += pause
            wait = min(wait * 2, MAX_BACKOFF)
        raise Stopped

    def _raise_if_final(self, error: Exception) -> None:
        if isinstance(error, ParamValidationError):
            raise TaskError.in_put(f"S3 refuses the request: {error}") from None
        if not isinstance(error, ClientError):
            return
        code = _code(error)
        if code == "404" and error.operation_name == "HeadBucket":
            raise TaskError(f"Non-existent S3 bucket: {self.name}") from None
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if 400 <= status < 500 and status != 429 and code not in _TRANSIENT:
            raise TaskError.in_put(f"S3 refuses {error.operation_name} in bucket {self.name}: {error}") from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


class PartitionObjects:
    """The objects of one topic partition, by their start offset; those of a deleted topic have another ``topic_id``."""

    def __init__(self, bucket: Bucket, config: SinkConfig, topic: str, partition: int, topic_id: str) -> None:
        d, f = config.directory_delim, config.file_delim
        self._prefix = f"{config.topics_dir}{d}{topic}{d}partition={partition}{d}{topic}{f}{partition}{f}"
        self._width = config.offset_width
        self._bucket = bucket
        self._topic_id = topic_id
        self._starts: list[int] = []

    def key(self, start: int) -> str:
        """The key of the object whose first record has this offset.

        >>> objects.key(12)
        'topics/t/partition=0/t+0+0000000012.json'
        """
        return f"{self._prefix}{start:0{self._width}d}.json"

    def load(self, position: int, end: int | None) -> None:
        """List the existing objects: all, or those from ``position`` on if ``end``, the partition's end, is given.

        If the position is the end of an object that this sink wrote, the objects behind it are only those whose offset
        was not committed before a kill: mostly none, so a restart costs one LIST.
        """
        after = ""
        # S3 compares keys as texts: they sort as their offsets do only where all have as many digits.
        if end is not None and position > 0 and len(self.key(position - 1)) == len(self.key(end)):
            after = self.key(position - 1)
        starts = self._bucket.starts(self._prefix, ".json", after)
        self._starts = starts if end is None else [start for start in starts if start >= position]

    def first_free(self, offset: int) -> int:
        """The first offset from ``offset`` on that is in no object."""
        while True:
            index = bisect.bisect_right(self._starts, offset) - 1
            if index < 0:
                return offset
            start = self._starts[index]
            held = self._bucket.head(self.key(start), start)
            if held is None or not self._ours(held):
                del self._starts[index]  # deleted meanwhile, or of a deleted topic of this name: will be replaced
            elif held.next_offset > offset:
                offset = held.next_offset
            else:
                return offset

    def next_start(self, offset: int) -> int | None:
        """Where the next existing object begins: an object that starts at ``offset`` must end there at the latest."""
        index = bisect.bisect_right(self._starts, offset)
        return self._starts[index] if index < len(self._starts) else None

    def write(self, batch: Batch) -> None:
        """Write a batch as an object, exactly once; raises Conflict if another object holds other offsets there.

        An existing key can be this very batch: a PUT whose answer was lost, or one that a killed process had sent. An
        object of a deleted topic of the same name is replaced, as the real sink does.
        """
        key = self.key(batch.start)
        if self._bucket.put(key, batch, self._topic_id):
            return
        held = self._bucket.head(key, batch.start)
        if held and self._ours(held):
            if held.next_offset != batch.next_offset:
                raise Conflict(key)
            return
        log.warning("%s is of a deleted topic of this name: replacing it", key)
        self._bucket.put(key, batch, self._topic_id, replace=True)

    def _ours(self, held: Written) -> bool:
        return held.topic_id is None or held.topic_id == self._topic_id
