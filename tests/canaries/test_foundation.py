"""What foundation/compat.py patches is still there, and still needed."""

from __future__ import annotations

import inspect

import kafka
import pytest
from kafka.net.sasl import get_sasl_mechanism
from kafka.net.sasl.msk import SaslMechanismAwsMskIam

from foundation import compat

CONFIG = {"security_protocol": "SASL_SSL", "host": "b-1.msk.amazonaws.com"}


def test_kafka_python_signs_with_the_session_class_that_compat_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "stale")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the environment")
    before = get_sasl_mechanism("AWS_MSK_IAM")
    try:
        compat.sign_in_to_msk_with("eu-central-1", ("AKIA", "secret"))
        client = get_sasl_mechanism("AWS_MSK_IAM")(**CONFIG)._build_client()
    finally:
        kafka.net.sasl.register_sasl_mechanism("AWS_MSK_IAM", before, overwrite=True)
    assert (client.access_key, client.secret_key, client.region, client.token) == (
        "AKIA", "secret", "eu-central-1", None,
    )  # fmt: skip


def test_kafka_python_still_has_no_option_for_credentials() -> None:
    """Once it has one, foundation/compat.py can use it in place of the patch."""
    options = {name for name in kafka.KafkaConsumer.DEFAULT_CONFIG if name.startswith(("sasl", "aws"))}
    assert options <= {
        "sasl_mechanism", "sasl_plain_username", "sasl_plain_password", "sasl_kerberos_name",
        "sasl_kerberos_service_name", "sasl_kerberos_domain_name", "sasl_oauth_token_provider",
    }  # fmt: skip
    assert "AWS_DEFAULT_REGION" in inspect.getsource(SaslMechanismAwsMskIam)
