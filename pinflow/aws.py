"""Clients of AWS, or of what answers in its place, from the profile alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
from botocore.config import Config

from pinflow.profile import Profile

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

# Six tries of at most a minute each: a LocalStack that restarts answers 503 for up to ten seconds.
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 6},
    max_pool_connections=32,
)


@overload
def client(profile: Profile, service: Literal["s3"]) -> S3Client: ...
@overload
def client(profile: Profile, service: Literal["kinesis"]) -> KinesisClient: ...
@overload
def client(profile: Profile, service: Literal["cloudformation"]) -> CloudFormationClient: ...
@overload
def client(profile: Profile, service: Literal["apigateway"]) -> APIGatewayClient: ...
@overload
def client(profile: Profile, service: Literal["sts"]) -> STSClient: ...
@overload
def client(profile: Profile, service: str) -> Any: ...


def client(profile: Profile, service: str) -> Any:
    """A boto3 client of a service such as "s3": the profile's region, endpoint and keys, retries and bounded waits.

    Keys that are null in the profile come from boto3's own credential chain. Buckets are addressed by path where
    there is an endpoint, since a name such as bucket.127.0.0.1 does not resolve.
    """
    aws = profile.aws
    by_path = Config(s3={"addressing_style": "path"}) if aws.endpoint_url else Config()
    return boto3.session.Session().client(
        service,  # type: ignore[call-overload]  # the overloads above say what comes back
        region_name=aws.region,
        endpoint_url=aws.endpoint_url,
        aws_access_key_id=aws.access_key_id.get_secret_value() if aws.access_key_id else None,
        aws_secret_access_key=aws.secret_access_key.get_secret_value() if aws.secret_access_key else None,
        config=_CONFIG.merge(by_path),
    )
