"""`bin/kafka-….sh`: Kafka's own command-line tools against the profile's cluster."""

from __future__ import annotations

import os
import socket
import sys

from pinflow import changes, packages
from pinflow import profile as profiles
from pinflow.errors import PinflowError
from services.kafka.native import FOLDER, JVM, java, logging_option

MAIN_CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}


def arguments(tool: str, given: list[str]) -> list[str]:
    """The command line of the real tool: what was given, and the profile's brokers unless some were given.

    Raises PinflowError if the tools' jars or Java are not on this machine, as where Kafka runs in a container, or if
    the profile's brokers are wanted and none of them answers.
    """
    jars = packages.jars("kafka")
    if not any(jars.glob("*.jar")):
        raise PinflowError(f"{tool}: Kafka's jars are not installed: there are none in {jars}", "make install")
    logs = logging_option(FOLDER / "tools-log4j2.yaml")
    command = [*java(MAIN_CLASSES[tool], *JVM, "-Xmx256m", logs), *given]
    # The tools take any unambiguous beginning of an option's name.
    if any(argument.startswith("--boot") for argument in given) or {"--help", "--version"} & set(given):
        return command
    name = os.environ.get("PROFILE", "local")
    profile = profiles.load(name)
    if changed := changes.notice(profile):
        print(changed, file=sys.stderr)
    servers = profile.kafka.bootstrap_servers
    if profile.kafka.security == "iam" and not any(argument.startswith("--command-c") for argument in given):
        raise PinflowError(
            f"Kafka at {servers} lets clients in by IAM (profile {name})",
            "add --command-config client.properties (make client-config) with aws-msk-iam-auth's jar in CLASSPATH; "
            "or work on the EC2 client",
        )
    if not any(_answers(server) for server in servers.split(",")):
        raise PinflowError(
            f"Kafka does not answer at {servers} (profile {name})",
            "start it with `make up`" if profile.stack else "check kafka.bootstrap_servers and the way to that network",
        )
    return [*command, "--bootstrap-server", servers]


def _answers(server: str) -> bool:
    """Whether a port is open: the tools themselves would warn for a minute before they give up."""
    host, _, port = server.strip().rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except (OSError, ValueError):
        return False
    return True


if __name__ == "__main__":
    try:
        command_line = arguments(sys.argv[1], sys.argv[2:])
    except PinflowError as error:
        sys.exit(str(error))
    os.execvpe(command_line[0], command_line, {**os.environ, **packages.LOCALE})
