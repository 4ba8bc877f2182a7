"""boto3 clients for AWS, or for what stands in for it, built from the profile."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from foundation.errors import PinflowError, brief
from foundation.profile import Profile

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

# Six tries of at most a minute each: a restarting LocalStack answers 503 for up to ten seconds.
PATIENT = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 6},
    max_pool_connections=32,
)
QUICK = Config(connect_timeout=4, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2})


@overload
def client(profile: Profile, service: Literal["s3"], waits: Config = ...) -> S3Client: ...
@overload
def client(profile: Profile, service: Literal["kinesis"], waits: Config = ...) -> KinesisClient: ...
@overload
def client(profile: Profile, service: Literal["cloudformation"], waits: Config = ...) -> CloudFormationClient: ...
@overload
def client(profile: Profile, service: Literal["apigateway"], waits: Config = ...) -> APIGatewayClient: ...
@overload
def client(profile: Profile, service: Literal["sts"], waits: Config = ...) -> STSClient: ...
@overload
def client(profile: Profile, service: str, waits: Config = ..., endpoint_url: str | None = ...) -> Any: ...


def client(profile: Profile, service: str, waits: Config = PATIENT, endpoint_url: str | None = "") -> Any:
    """A boto3 client for a service such as "s3", with the profile's region, endpoint and keys.

    ``waits``: PATIENT for work, QUICK for a check that a person waits for. ``endpoint_url``: None is AWS itself; by
    default it is the profile's. If the profile's keys are null, boto3's own credential chain finds some. With an
    endpoint, buckets are addressed by path: a name such as bucket.127.0.0.1 does not resolve.

    Raises PinflowError if boto3's own settings are wrong, for example an AWS_PROFILE that does not exist.
    """
    aws = profile.aws
    by_path = Config(s3={"addressing_style": "path"}) if aws.endpoint_url else Config()
    try:
        return _session().client(
            service,  # type: ignore[call-overload]  # see the overloads above
            region_name=aws.region,
            endpoint_url=aws.endpoint_url if endpoint_url == "" else endpoint_url,
            aws_access_key_id=aws.access_key_id.get_secret_value() if aws.access_key_id else None,
            aws_secret_access_key=aws.secret_access_key.get_secret_value() if aws.secret_access_key else None,
            config=waits.merge(by_path),
        )
    except BotoCoreError as error:
        raise PinflowError(
            f"{profile.path}: aws: {brief(error)}",
            "AWS_PROFILE is one of `aws configure list-profiles`, or not set; aws.region is a region's name",
        ) from None


def _session() -> boto3.session.Session:
    """A session of its own, so that it finds the credentials of the moment, with the models of all sessions."""
    session = botocore.session.Session()
    session.register_component("data_loader", _models())
    return boto3.session.Session(botocore_session=session)


@cache
def _models() -> Any:
    """botocore's loader, which keeps what it has read: to parse a service's model takes most of a client's time."""
    return botocore.session.Session().get_component("data_loader")


def account(profile: Profile) -> str:
    """The account number of the credentials, or why it is unknown."""
    try:
        return client(profile, "sts", QUICK).get_caller_identity()["Account"]
    except (BotoCoreError, ClientError, PinflowError) as error:
        return f"unknown ({brief(error)})"
