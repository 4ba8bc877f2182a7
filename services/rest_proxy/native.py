"""The REST proxy without Docker: a stand-in, since the real one is in no package registry."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from foundation import environment, loops, packages
from foundation.errors import NotReady, brief
from foundation.profile import Profile
from foundation.service import Command, Service

# The proxy may wait for its broker, and the probe with it: no longer than a probe may take.
_PROBE_SECONDS = 5


def ports(profile: Profile) -> list[int]:
    """The port of rest_proxy.url."""
    return [urlsplit(profile.rest_proxy.url).port or 80]


def command(profile: Profile) -> Command:
    """The stand-in with rest_proxy.env and this machine's addresses."""
    port = ports(profile)[0]
    variables = {
        **environment.read("rest_proxy"),
        "KAFKA_REST_LISTENERS": f"http://127.0.0.1:{port}",
        "KAFKA_REST_BOOTSTRAP_SERVERS": profile.kafka.bootstrap_servers,
    }
    return Command([str(packages.python("tool")), "-m", "services.rest_proxy"], variables)


def probe(profile: Profile) -> None:
    """Raise NotReady unless the proxy lists the broker's topics and none of its loops fails."""
    url = f"{profile.rest_proxy.url}/topics"
    try:
        response = requests.get(url, timeout=_PROBE_SECONDS)
    except requests.RequestException as error:
        raise NotReady(f"rest_proxy: {url}: {brief(error)}") from None
    if response.status_code != 200 or not isinstance(response.json(), list):
        raise NotReady(f"rest_proxy: {url}: {response.status_code} {response.text[:200]}")
    loops.check(profile, "rest_proxy", profile.rest_proxy.url)


SERVICE = Service(
    name="rest_proxy",
    title="REST proxy, a stand-in for Confluent REST Proxy v2",
    ports=ports,
    command=command,
    probe=probe,
    memory=0.1,
    needs=("kafka",),
    stand_in=True,
)
