"""`bin/kafka-….sh`: Kafka's own command-line tools against the profile's cluster."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress

from foundation import changes, packages
from foundation import profile as profiles
from foundation.errors import PinflowError
from foundation.java import LOCALE
from pinflow.stack.compose import ComposeStack
from services.kafka.native import FOLDER, JVM, java, logging_option

MAIN_CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}


def arguments(tool: str, given: list[str]) -> list[str]:
    """The command line of the real tool: the user's arguments, and the profile's brokers unless others were given.

    Without the tools' jars on this machine it runs in Kafka's container. Raises PinflowError if there is no such
    container, no Java, or if none of the profile's brokers answers.
    """
    if not any(packages.jars("kafka").glob("*.jar")):
        return _in_container(tool, given)
    logs = logging_option(FOLDER / "tools-log4j2.yaml")
    command = [*java(MAIN_CLASSES[tool], *JVM, "-Xmx256m", logs), *given]
    # The tools accept any unambiguous abbreviation of an option.
    if any(argument.startswith("--boot") for argument in given) or {"--help", "--version"} & set(given):
        return command
    name = os.environ.get("PROFILE", "local")
    profile = profiles.load(name)
    if changed := changes.notice(profile):
        print(changed, file=sys.stderr)
    servers = profile.kafka.bootstrap_servers
    if profile.kafka.security == "iam" and not any(argument.startswith("--command-c") for argument in given):
        raise PinflowError(
            f"Kafka at {servers} requires IAM (profile {name})",
            "add --command-config client.properties (make client-config) with aws-msk-iam-auth's jar in CLASSPATH; "
            "or work on the EC2 client",
        )
    if not any(_answers(server) for server in servers.split(",")):
        raise PinflowError(
            f"Kafka does not answer at {servers} (profile {name})",
            "start it with `make up`" if profile.stack else "check kafka.bootstrap_servers and the network",
        )
    return [*command, "--bootstrap-server", servers]


def _in_container(tool: str, given: list[str]) -> list[str]:
    """The command line of the tool in the container of the profile's Kafka."""
    profile = profiles.load(os.environ.get("PROFILE", "local"))
    container = None
    with suppress(PinflowError):  # no engine answers, or the profile has no stack here
        container = ComposeStack(profile).containers().get("kafka")
    if container is None or container.state != "running":
        raise PinflowError(
            f"{tool}: no Kafka container is running, and there are no jars in {packages.jars('kafka')}",
            "run make up if Docker runs the services, else make install",
        )
    brokers = [] if any(argument.startswith("--boot") for argument in given) else ["--bootstrap-server", "kafka:9092"]
    # Docker forwards no signal: without its own terminal a consumer would outlive Ctrl-C in the container.
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    return ["docker", "exec", "-i", *terminal, container.identity, f"/opt/kafka/bin/{tool}.sh", *given, *brokers]


def _answers(server: str) -> bool:
    """Whether the port is open: the tools themselves would retry for a minute."""
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
    os.execvpe(command_line[0], command_line, {**os.environ, **LOCALE})
