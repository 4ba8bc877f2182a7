"""The stand-in's settings, from the variables of the official image."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from kafka import KafkaConsumer, KafkaProducer

from foundation.environment import properties
from foundation.errors import PinflowError

log = logging.getLogger(__name__)

PREFIX = "KAFKA_REST_"

# Settings of the proxy itself that begin like those of its consumers.
_NUMBERS = {
    "consumer.request.timeout.ms": "request_timeout_ms",
    "consumer.request.max.bytes": "request_max_bytes",
    "consumer.instance.timeout.ms": "instance_timeout_ms",
}


class SettingsError(PinflowError):
    """A setting is missing, cannot be read, or is not supported by the stand-in."""


@dataclass(frozen=True)
class Settings:
    """The settings of the stand-in.

    bootstrap_servers    host:port of each broker
    host, port           the address that it listens on
    host_name            the host in the base_uri of consumer instances; the request's own if empty
    request_timeout_ms   how long a read waits for records
    request_max_bytes    the most bytes of keys and values in the answer to a read
    instance_timeout_ms  how long a consumer instance may be idle
    producer, consumer   options of kafka-python's clients
    """

    bootstrap_servers: list[str]
    host: str
    port: int
    host_name: str = ""
    request_timeout_ms: int = 1000
    request_max_bytes: int = 64 * 1024 * 1024
    instance_timeout_ms: int = 300_000
    producer: Mapping[str, Any] = field(default_factory=dict)
    consumer: Mapping[str, Any] = field(default_factory=dict)


def from_environment(variables: Mapping[str, str]) -> Settings:
    """Read the KAFKA_REST_ variables; raises SettingsError that names the one that is wrong."""
    found = properties(dict(variables), PREFIX)
    for name in ("bootstrap.servers", "listeners"):
        if not found.get(name):
            raise SettingsError(f"{PREFIX}{name.upper().replace('.', '_')} is not set", "see services/rest_proxy")
    for name in found:
        if name not in ("bootstrap.servers", "listeners", "host.name") and not name.startswith(
            ("producer.", "consumer.", "client.")
        ):
            log.warning("%s is not supported by the stand-in and is ignored", name)
    listener = urlsplit(found["listeners"].split(",")[0])
    if listener.scheme != "http" or not listener.hostname or not listener.port:
        raise SettingsError(f"{PREFIX}LISTENERS: expected an address such as http://127.0.0.1:8082")
    numbers = {field: _integer(name, found.pop(name)) for name, field in _NUMBERS.items() if name in found}
    return Settings(
        bootstrap_servers=[part.strip().rpartition("//")[2] for part in found["bootstrap.servers"].split(",")],
        host=listener.hostname,
        port=listener.port,
        host_name=found.get("host.name", ""),
        producer=_options("producer", found, KafkaProducer.DEFAULT_CONFIG),
        consumer=_options("consumer", found, KafkaConsumer.DEFAULT_CONFIG),
        **numbers,
    )


def _options(client: str, found: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one kind of client: `client.…` is for both kinds."""
    scoped = [(name, *name.partition(".")[::2], value) for name, value in found.items()]
    return {
        option.replace(".", "_"): _option(name, option.replace(".", "_"), value, known)
        for name, scope, option, value in scoped
        if scope in (client, "client")
    }


def _option(name: str, key: str, value: str, known: Mapping[str, Any]) -> Any:
    """An option of Kafka's Java clients as kafka-python takes it: the same name with `_`, typed like its default."""
    if key not in known:
        raise SettingsError(f"{name} is an option that the stand-in does not support", "delete it from rest_proxy.env")
    default = known[key]
    if key == "acks":
        return value if value == "all" else _integer(name, value)
    if key == "compression_type" and value == "none":
        return None
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise SettingsError(f"{name}={value}: expected true or false")
        return value == "true"
    return _integer(name, value) if isinstance(default, int | float) else value


def _integer(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise SettingsError(f"{name}={value}: expected a whole number") from None
