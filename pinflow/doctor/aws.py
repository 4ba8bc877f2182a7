"""Credentials, the bucket of the sink, the streams."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from foundation.aws import QUICK, client
from foundation.errors import PinflowError, brief
from foundation.profile import Profile
from pinflow.doctor.finding import Finding, failed, fix_for, ok, unknown

_SIGN_IN = "aws configure, aws sso login, or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_PAGES = 20  # of 1000 keys each; S3 cannot be asked for the newest object


def identity(profile: Profile) -> list[Finding]:
    """Whose credentials these are."""
    where = profile.aws.endpoint_url or f"AWS, region {profile.aws.region}"
    tried = f"sts get-caller-identity at {where}, keys from {_origin(profile)}"
    try:
        found = client(profile, "sts", QUICK).get_caller_identity()
    except PinflowError as error:
        return [failed(tried, error.what, error.fix)]
    except ClientError as error:
        return [failed(tried, brief(error), f"expired, deleted or of another account: {_SIGN_IN}")]
    except (NoCredentialsError, PartialCredentialsError) as error:
        return [failed(tried, brief(error), _SIGN_IN)]
    except BotoCoreError as error:
        return [
            failed(tried, brief(error), fix_for(profile, "localstack", "aws.region, aws.endpoint_url, or the network"))
        ]
    return [ok(tried, f"account {found['Account']}, {found['Arn']}")]


def bucket(profile: Profile) -> list[Finding]:
    """Whether the bucket exists, and each topic's newest object."""
    name = profile.storage.bucket
    s3 = client(profile, "s3", QUICK)
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        fixes = {
            404: "no such bucket: storage.bucket, or deploy localstack/template.yaml",
            403: "it belongs to another account, or these credentials lack s3:ListBucket on it",
            301: "it is not in aws.region",
            400: f"the credentials are not accepted: {_SIGN_IN}",
        }
        fix = fix_for(profile, "localstack", fixes.get(status, "storage.bucket, aws.region"))
        return [failed(f"head s3://{name}", f"HTTP {status}: {brief(error)}", fix)]
    except BotoCoreError as error:
        fix = fix_for(profile, "localstack", f"aws.region, the network; {_SIGN_IN}")
        return [failed(f"head s3://{name}", brief(error), fix)]
    return [_newest(profile, topic) for topic in profile.topics]


def _newest(profile: Profile, topic: str) -> Finding:
    tried = f"list s3://{profile.storage.bucket}/topics/{topic}/"
    s3, newest, seen = client(profile, "s3", QUICK), None, 0
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=profile.storage.bucket, Prefix=f"topics/{topic}/", PaginationConfig={"MaxItems": _PAGES * 1000}
        )
        for page in pages:
            for item in page.get("Contents", []):
                seen += 1
                newest = max(newest or item["LastModified"], item["LastModified"])
    except (ClientError, BotoCoreError) as error:
        return failed(tried, brief(error), "s3:ListBucket for these credentials")
    if newest is None:
        fix = (
            "send posts (make emulate-batch); if none arrives within a minute, check the connector and its topics.regex"
        )
        return unknown(tried, "no object yet", fix)
    age = (datetime.now(UTC) - newest).total_seconds()
    more = "at least " if seen == _PAGES * 1000 else ""
    return ok(tried, f"{more}{seen:,} objects, the newest {age:,.0f} s old")


def streams(profile: Profile) -> list[Finding]:
    """Whether each stream exists and is active."""
    findings = []
    kinesis = client(profile, "kinesis", QUICK)
    for name in profile.streams:
        tried = f"kinesis describe-stream-summary {name}"
        try:
            found = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        except ClientError as error:
            absent = error.response["Error"]["Code"] == "ResourceNotFoundException"
            elsewhere = "create it on demand, or deploy localstack/template.yaml" if absent else _SIGN_IN
            findings.append(failed(tried, brief(error), fix_for(profile, "localstack", elsewhere)))
        except BotoCoreError as error:
            findings.append(failed(tried, brief(error), fix_for(profile, "localstack", f"aws.region; {_SIGN_IN}")))
            break
        else:
            status = found["StreamStatus"]
            good = status in ("ACTIVE", "UPDATING")
            about = f"{status}, {found['OpenShardCount']} shards"
            findings.append(ok(tried, about) if good else failed(tried, about, "wait until it is ACTIVE"))
    return findings


def _origin(profile: Profile) -> str:
    if profile.aws.access_key_id:
        return "the profile's variables"
    try:
        found = boto3.session.Session().get_credentials()
    except BotoCoreError:
        found = None
    return found.method if found else "nowhere"
