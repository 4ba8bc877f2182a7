"""Apache Kafka without Docker: the real broker from Maven's jars, one KRaft node on 127.0.0.1."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from foundation import environment, loopback, packages, versions
from foundation.errors import NotReady, PinflowError, ProfileError, brief
from foundation.java import LOCALE
from foundation.java import java as java_executable
from foundation.profile import ROOT, Profile
from foundation.service import Command, Service

# The serial collector and only the first compiler: ready in 3 s, with a third of the default memory.
JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true"]

FOLDER = ROOT / "services" / "kafka"
_HEAP = ["-Xms64m", "-Xmx256m", "-XX:+ExitOnOutOfMemoryError"]

# probe() reports a broker that does not answer yet; the client library would print a warning for each attempt.
logging.getLogger("kafka").addHandler(logging.NullHandler())


def address(profile: Profile) -> tuple[str, int]:
    """Host and port of the one local broker; raises ProfileError if the profile names anything else."""
    servers = profile.kafka.bootstrap_servers
    host, _, port = servers.rpartition(":")
    if host not in loopback.SERVED or not port.isdigit():
        raise ProfileError(
            f"{profile.path}: kafka.bootstrap_servers: {servers} is not one broker on this machine",
            "write 127.0.0.1:9092 (or another port), or leave kafka out of stack.services",
        )
    return "127.0.0.1", int(port)


def ports(profile: Profile) -> list[int]:
    """The broker's port of the profile, and the next one, which is the controller's."""
    port = address(profile)[1]
    return [port, port + 1]


def variables(profile: Profile) -> dict[str, str]:
    """kafka.env with this machine's addresses and paths."""
    broker, controller = ports(profile)
    return {
        **environment.read("kafka"),
        "KAFKA_LISTENERS": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{broker}",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@127.0.0.1:{controller}",
        # Relative to the broker's working directory: an absolute path may contain a comma, which separates directories
        # here, or an accent, which Java reads as Latin-1 in server.properties.
        "KAFKA_LOG_DIRS": "data",
    }


def prepare(profile: Profile) -> None:
    """Render server.properties and format the data directory, both with the official image's own program.

    It starts a JVM (1.5 s), so it is skipped while nothing has changed. Raises PinflowError with the program's output.
    """
    home = _home(profile)
    wanted = json.dumps(variables(profile), indent=1)
    rendered_from = home / "rendered-from.json"
    formatted = (home / "data" / "meta.properties").is_file()
    if formatted and rendered_from.is_file() and rendered_from.read_text(encoding="utf-8") == wanted:
        return
    defaults, mounted, final = (home / name for name in ("defaults", "mounted", "config"))
    for directory in (defaults, mounted, final, home / "data"):
        directory.mkdir(parents=True, exist_ok=True)
    # The wrapper needs each file in one of the two directories, even an empty one.
    (mounted / "server.properties").touch()
    arguments = ["--default-configs-dir", defaults, "--mounted-configs-dir", mounted, "--final-configs-dir", final]
    done = subprocess.run(
        [*java("kafka.docker.KafkaDockerWrapper", *JVM), "setup", *map(str, arguments)],
        cwd=home,
        env={**os.environ, **LOCALE, **variables(profile)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = (done.stdout + done.stderr).strip()
    if done.returncode != 0 and "already formatted" not in output:
        raise PinflowError(f"kafka: cannot format {home / 'data'}:\n{output}", "`make reset` starts from empty data")
    rendered_from.write_text(wanted, encoding="utf-8")


def command(profile: Profile) -> Command:
    """The broker's own main class on the rendered server.properties."""
    prepare(profile)
    logs = logging_option(FOLDER / "log4j2.yaml")
    temporary = f"-Djava.io.tmpdir={tempfile.gettempdir()}"
    properties = str(_home(profile) / "config" / "server.properties")
    return Command([*java("kafka.Kafka", *JVM, *_HEAP, logs, temporary), properties], directory=_home(profile))


def probe(profile: Profile) -> None:
    """Raise NotReady unless the broker is registered and every existing topic of the profile has a leader."""
    host, port = address(profile)
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError as error:
        raise NotReady(f"kafka: {host}:{port}: {error.strerror or error}") from None
    try:
        with _admin(profile, timeout_ms=5000) as admin:
            if not admin.describe_cluster()["brokers"]:
                raise NotReady(f"kafka: {host}:{port} answers, but its broker is not registered yet")
            known = [name for name in profile.topics if name in admin.list_topics()]
            for topic in admin.describe_topics(known) if known else []:
                for partition in topic["partitions"]:
                    if partition["error_code"] or partition["leader_id"] < 0:
                        raise NotReady(f"kafka: {topic['name']} partition {partition['partition_index']} has no leader")
    except KafkaError as error:
        raise NotReady(f"kafka: {host}:{port}: {brief(error)}") from None


def initialise(profile: Profile, say: Callable[[str], None]) -> None:
    """Create the profile's topics unless they exist, with kafka.partitions partitions."""
    with _admin(profile, timeout_ms=60000) as admin:
        existing = set(admin.list_topics())
        for name in profile.topics:
            if name in existing:
                continue
            try:
                admin.create_topics([NewTopic(name, num_partitions=profile.kafka.partitions)])
            except TopicAlreadyExistsError:
                continue
            say(f"created topic {name} with {profile.kafka.partitions} partition(s)")
        admin.wait_for_topics(list(profile.topics), timeout_ms=60000)


def logging_option(file: Path) -> str:
    """The flag for Log4j's settings: a URI, in which percent signs and commas have no meaning."""
    return f"-Dlog4j2.configurationFile={file.as_uri()}"


def java(main: str, *flags: str) -> list[str]:
    """The start of a command line that runs a main class of the jars."""
    return [str(java_executable()), *flags, "-cp", str(packages.jars("kafka") / "*"), main]


def _home(profile: Profile) -> Path:
    return profile.home / "kafka"


def _admin(profile: Profile, timeout_ms: int) -> KafkaAdminClient:
    return KafkaAdminClient(
        bootstrap_servers=":".join(map(str, address(profile))),
        bootstrap_timeout_ms=timeout_ms,
        request_timeout_ms=timeout_ms,
    )


SERVICE = Service(
    name="kafka",
    title=f"Apache Kafka {versions.KAFKA.native} (KRaft, one node)",
    ports=ports,
    command=command,
    settings=variables,
    probe=probe,
    memory=0.3,
    prepare=prepare,
    initialise=initialise,
)
