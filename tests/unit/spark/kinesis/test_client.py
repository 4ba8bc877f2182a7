"""boto3's client and patience with the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

from pyspark_kinesis.client import Backoff, Kinesis, connect
from pyspark_kinesis.errors import KinesisError, MissingStreamError, TransientError
from pyspark_kinesis.options import Options, Stream
from tests.unit.spark.kinesis.fake import FakeKinesis

KEYS = {"awsAccessKey": "key", "awsSecretKey": "secret", "awsSessionToken": "token", "region": "eu-west-1"}
MISSING = MissingStreamError("no stream", "look")
AWAY = TransientError("refused")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_users_keys_region_and_endpoint_are_taken(options: Callable[..., Options]) -> None:
    client = connect(options(endpoint="http://127.0.0.1:1", **KEYS))
    credentials = client._request_signer._credentials
    assert (credentials.access_key, credentials.secret_key, credentials.token) == ("key", "secret", "token")
    assert (client.meta.region_name, client.meta.endpoint_url) == ("eu-west-1", "http://127.0.0.1:1")


def test_the_endpoint_is_the_environments_if_none_is_given(
    options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    assert connect(options(**KEYS)).meta.endpoint_url == "http://127.0.0.1:2"


def test_a_role_is_assumed_with_the_users_keys(
    options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.session

    asked: dict[str, Any] = {}
    create = botocore.session.Session.create_client

    def stubbed(self: botocore.session.Session, service: str, **given: Any) -> Any:
        made = create(self, service, **given)
        if service != "sts":
            return made
        asked.update(given)
        stubber = Stubber(made)
        answer = {
            "AccessKeyId": "role-key-of-16-chars",
            "SecretAccessKey": "role-secret",
            "SessionToken": "role-token",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        expected = {"RoleArn": "arn:aws:iam::1:role/reader", "RoleSessionName": "me", "ExternalId": "mine"}
        stubber.add_response("assume_role", {"Credentials": answer}, expected)
        stubber.activate()
        return made

    monkeypatch.setattr(botocore.session.Session, "create_client", stubbed)
    role = {"roleArn": "arn:aws:iam::1:role/reader", "roleSessionName": "me", "roleExternalId": "mine"}
    client = connect(options(stsEndpoint="http://127.0.0.1:3", **role, **KEYS))
    assert client._request_signer._credentials.get_frozen_credentials().secret_key == "role-secret"
    assert client.meta.region_name == "eu-west-1"
    assert (asked["aws_secret_access_key"], asked["endpoint_url"]) == ("secret", "http://127.0.0.1:3")


def test_no_region_is_said(options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(KinesisError, match="region"):
        connect(options())


def test_no_keys_are_said(kinesis: FakeKinesis, options: Callable[..., Options]) -> None:
    kinesis.fail("ListShards", NoCredentialsError())
    with pytest.raises(KinesisError, match="Unable to locate credentials\n  check the keys"):
        Kinesis(options(), kinesis).shards(Stream("s"))


def test_a_service_that_is_away_may_come_back(kinesis: FakeKinesis, options: Callable[..., Options]) -> None:
    kinesis.fail("ListShards", EndpointConnectionError(endpoint_url="http://127.0.0.1:1"))
    with pytest.raises(TransientError, match="Could not connect to the endpoint"):
        Kinesis(options(), kinesis).shards(Stream("s"))


def test_calls_on_an_arn_carry_the_arn(kinesis: FakeKinesis, options: Callable[..., Options]) -> None:
    arn = "arn:aws:kinesis:us-east-1:123456789012:stream/s"
    shard = kinesis.shard(0)
    calls = Kinesis(options(), kinesis)
    calls.shards(Stream(arn))
    iterator = calls.iterator(Stream(arn), shard, ShardIteratorType="TRIM_HORIZON")
    assert iterator is not None
    calls.records(Stream(arn), iterator, 1)
    assert all(given["StreamARN"] == arn and "StreamName" not in given for _, given in kinesis.calls)


def test_waits_grow_and_start_anew_after_an_answer() -> None:
    backoff = Backoff(Clock())
    waits = [backoff.failed(AWAY) for _ in range(12)]
    assert 0.1 <= waits[0] <= 0.2 and 5 <= waits[-1] <= 10
    backoff.succeeded()
    assert backoff.failed(AWAY) <= 0.2


@pytest.mark.parametrize(("answered", "error", "patience"), [(False, AWAY, 30), (True, AWAY, 300), (True, MISSING, 60)])
def test_patience_ends(answered: bool, error: TransientError | MissingStreamError, patience: float) -> None:
    clock = Clock()
    backoff = Backoff(clock)
    if answered:
        backoff.succeeded()
    backoff.failed(error)
    clock.now = patience - 1
    backoff.failed(error)
    clock.now = patience + 1
    with pytest.raises(KinesisError):
        backoff.failed(error)


def test_a_stream_that_was_never_there_is_an_error_at_once() -> None:
    with pytest.raises(MissingStreamError):
        Backoff(Clock()).failed(MISSING)
