"""The files for the EC2 client of an MSK cluster: settings of Kafka clients and REST proxy, topics, a systemd unit."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import urlsplit

from foundation import environment
from foundation.profile import Profile

_INSTALLED = "/opt/confluent"


def write(profile: Profile, directory: Path) -> list[Path]:
    """Write all files into the directory, replacing existing ones; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        "client.properties": _as_text("for --command-config of kafka-topics.sh and the other tools", security(profile)),
        "kafka-rest.properties": _as_text("Confluent's REST proxy", rest_proxy(profile)),
        "create-topics.sh": create_topics(profile),
        "kafka-rest.service": unit(profile),
        "README.md": _README,
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "create-topics.sh").chmod(0o755)
    return [directory / name for name in texts]


def security(profile: Profile) -> dict[str, str]:
    """How a client signs in: https://github.com/aws/aws-msk-iam-auth, whose jar must be on the class path."""
    if profile.kafka.security == "plaintext":
        return {"security.protocol": "PLAINTEXT"}
    role = f' awsRoleArn="{profile.kafka.role_arn}"' if profile.kafka.role_arn else ""
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "AWS_MSK_IAM",
        "sasl.jaas.config": f"software.amazon.msk.auth.iam.IAMLoginModule required{role};",
        "sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    }


def rest_proxy(profile: Profile) -> dict[str, str]:
    """The settings of services/rest_proxy for this cluster; its Kafka clients get those with `client.`."""
    settings = environment.properties(environment.read("rest_proxy"), "KAFKA_REST_")
    address = urlsplit(profile.rest_proxy.url)
    return settings | {
        "host.name": address.hostname or "",
        "bootstrap.servers": profile.kafka.bootstrap_servers,
        # On the client machine, not on this one: API Gateway connects to its public address, and its security group
        # restricts who can.
        "listeners": f"http://0.0.0.0:{address.port or 8082}",
        **{f"client.{name}": value for name, value in security(profile).items()},
    }


def create_topics(profile: Profile) -> str:
    """A script for the client machine; safe to repeat."""
    options = f"--create --if-not-exists --partitions {profile.kafka.partitions}"
    servers = shlex.quote(profile.kafka.bootstrap_servers)
    command = f'"$KAFKA_TOPICS" --bootstrap-server {servers} --command-config client.properties {options} --topic'
    commands = "\n".join(f"{command} {topic}" for topic in profile.topics)
    return f"""#!/bin/sh
# Creates the topics. Run it on the client machine, next to client.properties; it is safe to repeat.
set -eu
cd "$(dirname "$0")"
KAFKA_TOPICS="${{KAFKA_TOPICS:-{_INSTALLED}/bin/kafka-topics}}"
{commands}
"""


def unit(profile: Profile) -> str:
    """A systemd unit that keeps the REST proxy running after logout and reboot."""
    # The jar of aws-msk-iam-auth, which plaintext Kafka does not need.
    classes = f"Environment=CLASSPATH={_INSTALLED}/share/java/aws-msk-iam-auth-all.jar\n"
    return f"""[Unit]
Description=Confluent REST proxy
After=network-online.target
Wants=network-online.target

[Service]
{classes if profile.kafka.security == "iam" else ""}\
ExecStart={_INSTALLED}/bin/kafka-rest-start {_INSTALLED}/etc/kafka-rest/kafka-rest.properties
Restart=on-failure
RestartSec=5
User=ec2-user

[Install]
WantedBy=multi-user.target
"""


def _as_text(what: str, settings: dict[str, str]) -> str:
    lines = [f"{name}={value}" for name, value in settings.items()]
    return "\n".join([f"# {what}. Written by `make client-config` from the profile.", *lines, ""])


_README = f"""# Files for the EC2 client

1. Copy this folder to the EC2 client: `scp -r . ec2-user@<public DNS>:client`.
2. Install Confluent Platform in `{_INSTALLED}`; with IAM also the jar of aws-msk-iam-auth as
   `{_INSTALLED}/share/java/aws-msk-iam-auth-all.jar`, and `export CLASSPATH=` that path for Kafka's own tools.
3. Run `./create-topics.sh` to create the topics.
4. `sudo cp kafka-rest.properties {_INSTALLED}/etc/kafka-rest/`, `sudo cp kafka-rest.service /etc/systemd/system/`,
   `sudo systemctl daemon-reload`, `sudo systemctl enable --now kafka-rest`.
5. Open port 8082 in the security group, then run `make doctor`.
"""
