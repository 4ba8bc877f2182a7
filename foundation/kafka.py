"""Kafka clients for the profile's cluster, signed in as the profile says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError

from foundation.compat import sign_in_to_msk_with
from foundation.errors import NotReady, brief
from foundation.profile import Aws, Profile


def consumer(profile: Profile, **settings: Any) -> AbstractContextManager[KafkaConsumer]:
    """A consumer of the profile's cluster; raises NotReady when the cluster does not answer."""
    return _client(KafkaConsumer, profile, settings)


def admin(profile: Profile, **settings: Any) -> AbstractContextManager[KafkaAdminClient]:
    """An admin client of the profile's cluster; raises NotReady when the cluster does not answer."""
    return _client(KafkaAdminClient, profile, settings)


@contextmanager
def _client(kind: Any, profile: Profile, settings: dict[str, Any]) -> Iterator[Any]:
    made = None
    try:
        made = kind(
            bootstrap_servers=profile.kafka.bootstrap_servers,
            bootstrap_timeout_ms=5000,
            **security(profile),
            **settings,
        )
        yield made
    except (KafkaError, BotoCoreError) as error:  # BotoCoreError: of the credentials to sign in with
        raise NotReady(f"{profile.kafka.bootstrap_servers}: {brief(error)}") from None
    finally:
        if made is not None:
            made.close()


def security(profile: Profile) -> dict[str, str]:
    """The settings of a client of an MSK cluster with IAM; raises NotReady if there are no credentials."""
    if profile.kafka.security == "plaintext":
        return {}
    keys = _keys(profile.aws)
    if not keys and boto3.session.Session().get_credentials() is None:
        raise NotReady("no AWS credentials to sign in to Kafka with (AWS_MSK_IAM)")
    sign_in_to_msk_with(profile.aws.region, keys)
    return {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}


def _keys(aws: Aws) -> tuple[str, str] | None:
    if aws.access_key_id and aws.secret_access_key:
        return aws.access_key_id.get_secret_value(), aws.secret_access_key.get_secret_value()
    return None
