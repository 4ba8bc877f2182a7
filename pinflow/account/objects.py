"""The objects of each topic in S3, and their lines."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from botocore.exceptions import BotoCoreError, ClientError

from foundation.aws import client
from foundation.errors import NotReady, brief
from foundation.profile import Profile

_OF_THE_SINK = re.compile(r".*/partition=(\d+)/[^/]*\+(\d+)\+(\d+)\.[^/]*\Z", re.DOTALL)
"""The sink's own keys: topics/<topic>/partition=<p>/<topic>+<p>+<first offset>.json."""


_HIDDEN = re.compile(r"(?:\A|/)(?:\.|_(?![^/]*=))|\._COPYING_\Z")
"""Names that Spark does not read (HadoopFSUtils.shouldFilterOutPathName)."""


@dataclass(frozen=True)
class Listed:
    """An object in a listing; ``modified`` in whole seconds since 1970."""

    key: str
    etag: str
    modified: float

    @cached_property
    def place(self) -> tuple[int, int] | None:
        """Partition and first offset, from the key; None for an object that the sink did not write."""
        found = _OF_THE_SINK.match(self.key)
        return (int(found[2]), int(found[3])) if found and found[1] == found[2] else None


class Bucket:
    """The profile's bucket; counts the lines of an object only once. Methods raise NotReady."""

    def __init__(self, profile: Profile) -> None:
        self._profile, self._name = profile, profile.storage.bucket
        self._s3 = client(profile, "s3")
        self._counted: dict[tuple[str, str], int] = {}

    def listed(self, topic: str) -> list[Listed]:
        """A topic's objects that Spark would read."""
        prefix = f"topics/{topic}/"
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return [
                Listed(item["Key"], item["ETag"], item["LastModified"].timestamp())
                for page in pages
                for item in page.get("Contents", [])
                if not _HIDDEN.search(item["Key"].removeprefix(prefix))
            ]
        except (BotoCoreError, ClientError) as error:
            raise NotReady(f"s3://{self._name}: {brief(error)}") from None

    def lines(self, found: Sequence[Listed]) -> dict[str, int]:
        """The number of lines of each object by key; skips objects that were deleted meanwhile."""
        new = [one for one in found if (one.key, one.etag) not in self._counted]
        for one, body in self.bodies(new):
            self._counted[one.key, one.etag] = len(split(body))
        return {one.key: self._counted[one.key, one.etag] for one in found if (one.key, one.etag) in self._counted}

    def bodies(self, found: Sequence[Listed]) -> Iterator[tuple[Listed, bytes]]:
        """The contents of the objects; skips objects that were deleted meanwhile."""
        with ThreadPoolExecutor(8) as pool:
            # A few at a time: together they may be gigabytes.
            for part in (found[start : start + 32] for start in range(0, len(found), 32)):
                for one, body in zip(part, pool.map(self._body, part), strict=True):
                    if body is not None:
                        yield one, body

    def _body(self, one: Listed) -> bytes | None:
        try:
            body = self._s3.get_object(Bucket=self._name, Key=one.key)["Body"].read()
            return gzip.decompress(body) if one.key.endswith(".gz") else body
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise NotReady(f"s3://{self._name}/{one.key}: {brief(error)}") from None
        except (BotoCoreError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotReady(f"s3://{self._name}/{one.key}: {brief(error)}") from None


def split(body: bytes) -> list[bytes]:
    """The lines of an object as Spark reads them: one record each."""
    lines = body.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def key_of(line: bytes, name: str) -> int | None:
    """The post's number in a record; None if there is none."""
    try:
        post = json.loads(line)
    except (ValueError, RecursionError):
        return None
    key = post.get(name) if isinstance(post, dict) else None
    return key if type(key) is int else None
