"""Clients of AWS, or of what answers in its place, from the profile alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
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

# Six tries of at most a minute each: a LocalStack that restarts answers 503 for up to ten seconds.
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
    """A boto3 client of a service such as "s3": the profile's region, endpoint and keys, bounded waits.

    ``waits`` is PATIENT for work that is to be done, QUICK for a look that a person waits for; ``endpoint_url`` is that
    of a service which has one of its own, None for AWS itself, and the profile's where it is not given.

    Keys that are null in the profile come from boto3's own credential chain. Buckets are addressed by path where
    there is an endpoint, since a name such as bucket.127.0.0.1 does not resolve.

    Raises PinflowError where boto3's own settings are wrong, such as an AWS_PROFILE that is nowhere.
    """
    aws = profile.aws
    by_path = Config(s3={"addressing_style": "path"}) if aws.endpoint_url else Config()
    try:
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]  # the overloads above say what comes back
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


def account(profile: Profile) -> str:
    """The number of the account that the credentials belong to, or why it is unknown."""
    try:
        return client(profile, "sts", QUICK).get_caller_identity()["Account"]
    except (BotoCoreError, ClientError, PinflowError) as error:
        return f"unknown ({brief(error)})"
