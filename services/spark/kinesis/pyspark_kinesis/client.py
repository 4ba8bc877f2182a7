"""AWS's Kinesis client with the user's keys, and AWS's errors sorted into transient and final ones.

botocore, not boto3: two thirds of what boto3 imports is for S3, and every query has a process of its own that imports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import uniform
from typing import Any, TypeVar

from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.session import Session

from pyspark_kinesis import compat
from pyspark_kinesis.errors import KinesisError, MissingStreamError, TransientError
from pyspark_kinesis.options import Options, Stream

T = TypeVar("T")

THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "KMSThrottlingException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "ResourceInUseException",  # the stream is being created or changed
    }
)

FIRST_TIMEOUT = 30.0
"""Seconds after which a service that has never answered is an error: a wrong endpoint, most of the time."""
TIMEOUT = 300.0
"""Seconds after which one that has answered before is an error: it restarts in less."""
MISSING_TIMEOUT = 60.0
"""Seconds after which a stream that existed before and is missing is an error: LocalStack, after a kill, answers before
its streams are created again."""

_ADVICE = {
    "ResourceNotFoundException": "check streamName and region; aws kinesis list-streams shows the streams",
    "AccessDeniedException": "the key needs kinesis:ListShards, kinesis:GetShardIterator and kinesis:GetRecords",
    "UnrecognizedClientException": "check awsAccessKey and awsSecretKey",
    "InvalidSignatureException": "check awsSecretKey, and the clock of this machine",
    "ExpiredTokenException": "the session token has expired: get new keys",
}


@dataclass(frozen=True)
class Shard:
    """What ListShards says of a shard: id, first sequence number, ids of its parents, and whether it is closed."""

    id: str
    first: str
    parents: tuple[str, ...]
    closed: bool


class Kinesis:
    """The three calls that a consumer makes, on one client. Safe to use from several threads.

    Each makes one attempt and raises TransientError (retry in a moment) or KinesisError (AWS's own message).
    """

    def __init__(self, options: Options, client: Any = None) -> None:
        self._page = options.max_shards_per_describe
        self._client = client or connect(options)

    def shards(self, stream: Stream) -> list[Shard]:
        """All shards that the stream still has, parents first (their ids count up)."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = dict(stream.address)
        while True:
            answer = self._call("ListShards", stream, partial(self._client.list_shards, MaxResults=self._page, **more))
            found += answer["Shards"]
            if not answer.get("NextToken"):
                break
            more = {"NextToken": answer["NextToken"]}
        shards = [
            Shard(
                shard["ShardId"],
                shard["SequenceNumberRange"]["StartingSequenceNumber"],
                tuple(shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)),
                "EndingSequenceNumber" in shard["SequenceNumberRange"],
            )
            for shard in found
        ]
        return sorted(shards, key=lambda shard: shard.id)

    def iterator(self, stream: Stream, shard: str, **where: Any) -> str | None:
        """A shard iterator; None if the stream does not have the shard, or the record that ``where`` names."""
        call = partial(self._client.get_shard_iterator, ShardId=shard, **stream.address, **where)
        try:
            return str(self._call("GetShardIterator", stream, call, missing=True)["ShardIterator"])
        except LookupError:
            return None

    def records(self, stream: Stream, iterator: str, limit: int) -> dict[str, Any] | None:
        """GetRecords' answer; None if the iterator has expired, after five minutes."""
        address = {name: value for name, value in stream.address.items() if name == "StreamARN"}
        call = partial(self._client.get_records, ShardIterator=iterator, Limit=limit, **address)
        try:
            answer: dict[str, Any] = self._call("GetRecords", stream, call, missing=True)
        except LookupError:
            return None
        return answer

    def _call(self, name: str, stream: Stream, call: Callable[[], T], missing: bool = False) -> T:
        """``call()``; with ``missing``, LookupError if AWS answers that what was asked for does not exist."""
        try:
            return call()
        except ClientError as error:
            code, text = error.response["Error"]["Code"], error.response["Error"]["Message"]
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            if code in THROTTLED or status >= 500:
                raise TransientError(f"{name} on {stream.key}: {code}: {text}") from None
            gone = ("ResourceNotFoundException", "InvalidArgumentException", "ExpiredIteratorException")
            if missing and code in gone:
                raise LookupError from None
            kind = MissingStreamError if code == "ResourceNotFoundException" else KinesisError
            advice = _ADVICE.get(code, "this is AWS's own message")
            raise kind(f"Kinesis refuses {name} on {stream.key}: {code}: {text}", advice) from None
        except (AwsConnectionError, HTTPClientError) as error:
            raise TransientError(f"{name} on {stream.key}: {error}") from None
        except BotoCoreError as error:
            raise KinesisError(f"{name} on {stream.key}: {error}", "check the keys, region and endpoint") from None


class Backoff:
    """How long to wait before the next attempt, and when to give up. Not safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answered: float | None = None
        self._failing: float | None = None
        self._attempts = 0

    def succeeded(self) -> None:
        self._answered = self._clock()
        self._failing, self._attempts = None, 0

    def failed(self, error: TransientError | MissingStreamError) -> float:
        """Seconds to wait: doubling from 0.2 to 10, with jitter. Raises KinesisError after the timeout."""
        now = self._clock()
        self._failing = now if self._failing is None else self._failing
        if isinstance(error, MissingStreamError):
            if self._answered is None or now - self._failing > MISSING_TIMEOUT:
                raise error
        elif now - self._failing > (FIRST_TIMEOUT if self._answered is None else TIMEOUT):
            todo = "check that the service runs, the endpoint and the region; then start the query again"
            raise KinesisError(f"Kinesis has not answered for {now - self._failing:.0f} s: {error}", todo) from None
        self._attempts += 1
        return min(10.0, 0.1 * 2.0 ** min(self._attempts, 10)) * uniform(0.5, 1.0)


def retry(call: Callable[[], T]) -> T:
    """``call()``, repeated while it raises TransientError; raises KinesisError after the timeout."""
    backoff = Backoff()
    while True:
        try:
            return call()
        except (TransientError, MissingStreamError) as error:
            time.sleep(backoff.failed(error))


def connect(options: Options) -> Any:
    """botocore's client. Without keys AWS's default chain applies; without an endpoint AWS_ENDPOINT_URL_KINESIS does.

    Raises KinesisError if there is no region.
    """
    try:
        session = _session(options)
        if options.role_arn:
            session = _in_role(session, options, options.role_arn)
        # Attempts are made here, where a throttled shard does not keep others waiting.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60, max_pool_connections=32)
        return session.create_client("kinesis", endpoint_url=options.endpoint, config=config)
    except (BotoCoreError, ValueError) as error:
        raise KinesisError(f"no Kinesis client: {error}", "check region, endpoint and the keys") from None


def _session(options: Options) -> Session:
    """A session in the user's region and with the user's keys, if there are any."""
    session = Session()
    if options.region:
        session.set_config_variable("region", options.region)
    if options.access_key and options.secret_key:
        session.set_credentials(options.access_key, options.secret_key, options.session_token)
    return session


def _in_role(own: Session, options: Options, role: str) -> Session:
    """A session in the role ``role`` (an ARN), assumed with the keys of ``own`` and renewed before it expires."""
    if (keys := own.get_credentials()) is None:
        raise ValueError(f"no keys to assume {role} with")
    extra = {"RoleSessionName": options.role_session_name}
    if options.role_external_id:
        extra["ExternalId"] = options.role_external_id
    fetcher = AssumeRoleCredentialFetcher(
        partial(own.create_client, endpoint_url=options.sts_endpoint), keys, role, extra
    )
    inside = Session()
    if options.region:
        inside.set_config_variable("region", options.region)
    renewing = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    compat.set_renewing_credentials(inside, renewing)
    return inside
