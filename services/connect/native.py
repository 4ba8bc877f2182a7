"""Kafka Connect with the S3 sink without Docker: the stand-in of this folder."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import requests

from foundation import loops
from foundation.environment import read
from foundation.errors import NotReady, brief
from foundation.packages import python
from foundation.profile import Profile
from foundation.service import Command, Service
from services.connect import connector


def port(profile: Profile) -> int:
    """The port of the REST API, from the profile's URL."""
    return urlsplit(profile.connect.url).port or 8083


def command(profile: Profile) -> Command:
    """The worker with the settings of connect.env; only addresses differ, credentials come from the profile."""
    environment = read("connect") | {
        "AWS_ENDPOINT_URL": profile.aws.endpoint_url or "",
        "CONNECT_BOOTSTRAP_SERVERS": profile.kafka.bootstrap_servers,
        "CONNECT_LISTENERS": f"http://127.0.0.1:{port(profile)}",
        "CONNECT_REST_ADVERTISED_HOST_NAME": "127.0.0.1",
    }
    if profile.aws.access_key_id and profile.aws.secret_access_key:
        environment["AWS_ACCESS_KEY_ID"] = profile.aws.access_key_id.get_secret_value()
        environment["AWS_SECRET_ACCESS_KEY"] = profile.aws.secret_access_key.get_secret_value()
    return Command([str(python("tool")), "-m", "services.connect"], environment)


def probe(profile: Profile) -> None:
    """Raise NotReady until the worker answers, all tasks of an existing connector run, and they find topics."""
    try:
        names = requests.get(f"{profile.connect.url}/connectors", timeout=3).json()
    except (requests.RequestException, ValueError) as error:
        raise NotReady(f"{profile.connect.url}/connectors: {brief(error)}") from None
    if profile.connect.connector in names:
        try:
            connector.check_running(profile)
        except NotReady as error:
            again = f"curl -X POST '{connector.of(profile).url}/restart?includeTasks=true&onlyFailed=true'"
            fix = f"\nfix the cause, then: {again}" if "FAILED" in error.what else ""
            raise NotReady(f"{error.what}\n{loops.see(profile, 'connect')}{fix}") from None
    loops.check(profile, "connect", profile.connect.url)


def initialise(profile: Profile, say: Callable[[str], None]) -> None:
    """Put the connector of s3-sink.json and wait until its tasks run."""
    say(connector.put(profile))
    connector.wait_running(profile)


def initialise_in_compose(profile: Profile, say: Callable[[str], None]) -> None:
    """Wait until the connector's tasks run: there watch.py puts it, with the addresses of the containers."""
    connector.wait_running(profile)


SERVICE = Service(
    name="connect",
    title="S3 sink (stand-in for Kafka Connect with the Confluent S3 sink)",
    ports=lambda profile: [port(profile)],
    command=command,
    probe=probe,
    memory=0.2,
    initialise=initialise,
    initialise_in_compose=initialise_in_compose,
    needs=("kafka", "localstack"),
    stand_in=True,
)
