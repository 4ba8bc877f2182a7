"""Kafka from outside: a consumer of the profile's cluster, signed in as the profile says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import BotoCoreError
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError
from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.msk import SaslMechanismAwsMskIam

from foundation.errors import NotReady, brief
from foundation.profile import Aws, Profile


def consumer(profile: Profile, **settings: Any) -> AbstractContextManager[KafkaConsumer]:
    """A consumer of the profile's cluster; raises NotReady when the cluster does not answer."""
    return _client(KafkaConsumer, profile, settings)


def admin(profile: Profile, **settings: Any) -> AbstractContextManager[KafkaAdminClient]:
    """The same for questions about the cluster."""
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
    """What a client of an MSK cluster with IAM needs; raises NotReady where there are no credentials."""
    if profile.kafka.security == "plaintext":
        return {}
    if not _keys(profile.aws) and boto3.session.Session().get_credentials() is None:
        raise NotReady("no AWS credentials to sign in to Kafka with (AWS_MSK_IAM)")
    register_sasl_mechanism("AWS_MSK_IAM", _signing(profile.aws), overwrite=True)
    return {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}


def _signing(aws: Aws) -> type[SaslMechanismAwsMskIam]:
    """kafka-python's mechanism with the profile's keys and region, for which it has no options.

    By itself it makes a botocore session, which reads the environment: there a stale AWS_SESSION_TOKEN would be taken
    for the token of the profile's keys.
    """

    class Session(botocore.session.Session):
        def __init__(self) -> None:
            super().__init__()
            self.set_config_variable("region", aws.region)
            if keys := _keys(aws):
                self.set_credentials(*keys)

    class Mechanism(SaslMechanismAwsMskIam):  # type: ignore[misc]  # kafka-python has no types
        def __init__(self, **config: Any) -> None:
            super().__init__(**config)
            self._boto_session_cls = Session

    return Mechanism


def _keys(aws: Aws) -> tuple[str, str] | None:
    if aws.access_key_id and aws.secret_access_key:
        return aws.access_key_id.get_secret_value(), aws.secret_access_key.get_secret_value()
    return None
