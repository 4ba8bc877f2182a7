"""Deploys the S3 sink connector of services/connect/s3-sink.json to MSK Connect or to a Kafka Connect worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from foundation.aws import client
from foundation.errors import PinflowError, brief
from foundation.profile import MskConnect, Profile
from foundation.service import Say
from pinflow.deploy.difference import Difference, as_text
from services.connect import connector as rest

VERSION = "3.7.x"
"""The version of Kafka Connect; MSK Connect's 2.7.1 refuses `consumer.override.…` by default."""
_CHANGEABLE = ("RUNNING", "FAILED")


def find(profile: Profile) -> InMskConnect | BehindRest:
    """The profile's connector, where it runs."""
    return InMskConnect(profile, profile.connect.msk) if profile.connect.msk else BehindRest(profile)


class BehindRest:
    """A Kafka Connect worker with its REST API."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def differences(self) -> list[Difference]:
        """The difference between the deployed configuration and ours, if any."""
        name = self.profile.connect.connector
        current, wanted = rest.configuration(self.profile), {**rest.render(self.profile), "name": name}
        place = f"{self.profile.connect.url}/connectors/{name}"
        return [] if current == wanted else [_difference(place, current, wanted)]

    def apply(self, say: Say) -> None:
        """PUT it."""
        say(rest.put(self.profile))


class InMskConnect:
    """MSK Connect, which is managed through AWS's own API."""

    def __init__(self, profile: Profile, msk: MskConnect) -> None:
        self.profile, self.msk = profile, msk
        self.name = profile.connect.connector
        self._client: Any = client(profile, "kafkaconnect")

    def differences(self) -> list[Difference]:
        """The difference between the deployed configuration and ours, if any."""
        with self._errors():
            current, wanted = self._described(), configuration(self.profile)
            if current is None:
                self._creation()  # raises now if the plugin does not exist
                return [_difference(f"MSK Connect: {self.name}", None, wanted)]
            found = current["connectorConfiguration"]
            return [] if found == wanted else [_difference(f"MSK Connect: {self.name}", found, wanted)]

    def apply(self, say: Say) -> None:
        """Create or change it, without waiting: MSK Connect takes minutes."""
        with self._errors():
            current = self._described()
            if current is None:
                self._client.create_connector(**self._creation())
                say(f"MSK Connect is creating {self.name}, which takes about ten minutes: make doctor shows its state")
                return
            state = current["connectorState"]
            if state not in _CHANGEABLE:
                raise PinflowError(f"MSK Connect: {self.name} is {state}", "wait until it is RUNNING, then try again")
            self._client.update_connector(
                connectorArn=current["connectorArn"],
                currentVersion=current["currentVersion"],
                connectorConfiguration=configuration(self.profile),
            )
            say(f"MSK Connect is changing {self.name}, which takes minutes: make doctor shows its state")

    def _described(self) -> dict[str, Any] | None:
        pages = self._client.get_paginator("list_connectors").paginate(connectorNamePrefix=self.name)
        arns = [one["connectorArn"] for p in pages for one in p["connectors"] if one["connectorName"] == self.name]
        found: dict[str, Any] | None = self._client.describe_connector(connectorArn=arns[0]) if arns else None
        return found

    def _creation(self) -> dict[str, Any]:
        """The arguments of CreateConnector; raises PinflowError if a resource that it names is missing."""
        profile, msk = self.profile, self.msk
        iam = profile.kafka.security == "iam"
        plugin = self._named("custom_plugins", "customPlugins", msk.plugin)
        settings: dict[str, Any] = {
            "connectorName": self.name,
            "connectorConfiguration": configuration(profile),
            "kafkaConnectVersion": VERSION,
            "capacity": {"provisionedCapacity": {"mcuCount": 1, "workerCount": 1}},
            "kafkaCluster": {
                "apacheKafkaCluster": {
                    "bootstrapServers": profile.kafka.bootstrap_servers,
                    "vpc": {"subnets": _ids(msk.subnets), "securityGroups": _ids(msk.security_groups)},
                }
            },
            "kafkaClusterClientAuthentication": {"authenticationType": "IAM" if iam else "NONE"},
            "kafkaClusterEncryptionInTransit": {"encryptionType": "TLS" if iam else "PLAINTEXT"},
            "plugins": [
                {"customPlugin": {"customPluginArn": plugin["customPluginArn"], "revision": _revision(plugin)}}
            ],
            "serviceExecutionRoleArn": msk.role_arn,
        }
        if msk.worker_configuration:
            worker = self._named("worker_configurations", "workerConfigurations", msk.worker_configuration)
            settings["workerConfiguration"] = {
                "workerConfigurationArn": worker["workerConfigurationArn"],
                "revision": _revision(worker),
            }
        return settings

    def _named(self, listing: str, key: str, name: str) -> dict[str, Any]:
        pages = self._client.get_paginator(f"list_{listing}").paginate(namePrefix=name)
        found: dict[str, Any] | None = next((one for page in pages for one in page[key] if one["name"] == name), None)
        if found is None:
            what = listing.removesuffix("s").replace("_", " ")
            raise PinflowError(
                f"MSK Connect: there is no {what} {name}", "create it as docs/aws.md says, or correct connect.msk"
            )
        return found

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise PinflowError(
                f"MSK Connect, connector {self.name}: {brief(error)}",
                "you need kafkaconnect:* and iam:PassRole on connect.msk.role_arn; --only can skip the connector",
            ) from None


def configuration(profile: Profile) -> dict[str, str]:
    """s3-sink.json for a cluster: the dead-letter topic gets a replica per broker, three at most."""
    brokers = len(profile.kafka.bootstrap_servers.split(","))
    factor = {"errors.deadletterqueue.topic.replication.factor": str(min(3, brokers))}
    return rest.render(profile) | factor


def _difference(place: str, current: dict[str, str] | None, wanted: dict[str, str]) -> Difference:
    return Difference(place, as_text(current) if current else None, as_text(wanted))


def _ids(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]


def _revision(document: dict[str, Any]) -> int:
    return int(document["latestRevision"]["revision"])
