"""The stand-in's settings and content negotiation."""

from __future__ import annotations

import pytest

from foundation import environment
from services.rest_proxy.settings import SettingsError, from_environment

REQUIRED = {"KAFKA_REST_BOOTSTRAP_SERVERS": "kafka:9092", "KAFKA_REST_LISTENERS": "http://0.0.0.0:8082"}


def test_the_env_file_of_the_image_is_understood_whole(caplog: pytest.LogCaptureFixture) -> None:
    settings = from_environment(environment.read("rest_proxy"))
    assert (settings.host, settings.port, settings.host_name) == ("0.0.0.0", 8082, "127.0.0.1")
    assert settings.bootstrap_servers == ["kafka:9092"]
    assert settings.producer["acks"] == "all"
    assert "enable_idempotence" not in settings.producer, "the real one ignores it"
    assert settings.producer["max_request_size"] == 1048576
    assert "request_timeout_ms" not in settings.consumer
    assert not caplog.records


def test_client_options_are_for_producers_and_consumers() -> None:
    settings = from_environment({**REQUIRED, "KAFKA_REST_CLIENT_SECURITY_PROTOCOL": "SSL"})
    assert settings.producer == settings.consumer == {"security_protocol": "SSL"}


def test_addresses_with_a_protocol_and_several_brokers() -> None:
    settings = from_environment({**REQUIRED, "KAFKA_REST_BOOTSTRAP_SERVERS": "PLAINTEXT://a:1, b:2"})
    assert settings.bootstrap_servers == ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("KAFKA_REST_BOOTSTRAP_SERVERS", "", "KAFKA_REST_BOOTSTRAP_SERVERS is not set"),
        ("KAFKA_REST_LISTENERS", "https://0.0.0.0:8082", "KAFKA_REST_LISTENERS"),
        ("KAFKA_REST_PRODUCER_LINGER_MS", "soon", "producer.linger.ms=soon"),
        ("KAFKA_REST_PRODUCER_NO_SUCH_OPTION", "1", "producer.no.such.option"),
        ("KAFKA_REST_PRODUCER_ENABLE_IDEMPOTENCE", "yes", "producer.enable.idempotence=yes"),
        ("KAFKA_REST_CONSUMER_REQUEST_TIMEOUT_MS", "1s", "consumer.request.timeout.ms=1s"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_environment({**REQUIRED, name: value})


def test_an_unsupported_setting_of_the_real_one_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    from_environment({**REQUIRED, "KAFKA_REST_SCHEMA_REGISTRY_URL": "http://registry"})
    assert "schema.registry.url" in caplog.text
