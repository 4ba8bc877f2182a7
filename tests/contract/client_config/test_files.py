"""client.properties and kafka-rest.properties by Kafka's own configuration classes; the script by a shell."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest
import yaml

from foundation import packages
from foundation.java import java
from foundation.profile import ROOT, Profile, load
from pinflow import client_config

SERVERS = "b-1.x.kafka.us-east-1.amazonaws.com:9098,b-2.x.kafka.us-east-1.amazonaws.com:9098"
ROLE = "arn:aws:iam::123456789012:role/msk-role"
MODULE = "software.amazon.msk.auth.iam.IAMLoginModule"


def profile(directory: Path, security: str, role: str | None = None) -> Profile:
    document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    document["kafka"] = {"bootstrap_servers": SERVERS, "partitions": 3, "security": security, "role_arn": role}
    document["rest_proxy"]["url"] = "http://ec2-1-2-3-4.compute-1.amazonaws.com:8083"
    path = directory / "p.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(str(path))


def read_by_kafka(directory: Path) -> list[str]:
    """What Kafka's admin client, producer and consumer make of the files."""
    modules = subprocess.run([java(), "--list-modules"], capture_output=True, text=True, check=True).stdout
    if "jdk.compiler" not in modules:
        pytest.skip("this Java has no compiler")
    source = Path(__file__).with_name("ReadSettings.java")
    files = [str(directory / name) for name in ("client.properties", "kafka-rest.properties")]
    done = subprocess.run(
        [java(), "-XX:TieredStopAtLevel=1", "-cp", f"{packages.jars('kafka')}/*", str(source), *files],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith(("admin", "producer", "consumer"))]


@pytest.mark.parametrize("role", [ROLE, None])
def test_with_iam_kafka_reads_mechanism_module_and_role(tmp_path: Path, role: str | None) -> None:
    client_config.write(profile(tmp_path, "iam", role), tmp_path / "files")
    options = f"{{awsRoleArn={role}}}" if role else "{}"
    assert read_by_kafka(tmp_path / "files") == [
        f"{part} SASL_SSL AWS_MSK_IAM {MODULE} {options} unknown=[]" for part in ("admin", "producer", "consumer")
    ]


def test_plaintext_asks_for_nothing(tmp_path: Path) -> None:
    client_config.write(profile(tmp_path, "plaintext"), tmp_path / "files")
    lines = read_by_kafka(tmp_path / "files")
    assert [line.split()[1] for line in lines] == ["PLAINTEXT"] * 3
    assert "SASL" not in (tmp_path / "files" / "client.properties").read_text()


def test_the_rest_proxy_listens_where_the_profile_says(tmp_path: Path) -> None:
    settings = client_config.rest_proxy(profile(tmp_path, "iam", ROLE))
    assert settings["listeners"] == "http://0.0.0.0:8083"
    assert settings["host.name"] == "ec2-1-2-3-4.compute-1.amazonaws.com"
    assert settings["bootstrap.servers"] == SERVERS
    assert settings["client.sasl.client.callback.handler.class"].endswith("IAMClientCallbackHandler")


def test_the_script_makes_the_three_topics(tmp_path: Path) -> None:
    made = profile(tmp_path, "iam", ROLE)
    client_config.write(made, tmp_path / "files")
    tool = tmp_path / "kafka-topics"
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o755)
    script = tmp_path / "files" / "create-topics.sh"
    done = subprocess.run([str(script)], env={"KAFKA_TOPICS": str(tool)}, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"--bootstrap-server {SERVERS} --command-config client.properties --create --if-not-exists "
        f"--partitions 3 --topic {topic}"
        for topic in made.topics
    ]


@pytest.mark.parametrize(("security", "classes"), [("iam", True), ("plaintext", False)])
def test_the_unit_starts_the_rest_proxy_and_again_after_a_failure(tmp_path: Path, security: str, classes: bool) -> None:
    unit = configparser.ConfigParser()
    unit.read_string(client_config.unit(profile(tmp_path, security)))
    assert "kafka-rest-start" in unit["Service"]["ExecStart"]
    assert unit["Service"]["Restart"] == "on-failure"
    assert ("Environment" in unit["Service"]) == classes


def test_writing_again_replaces_what_is_there(tmp_path: Path) -> None:
    client_config.write(profile(tmp_path, "iam"), tmp_path / "files")
    files = client_config.write(profile(tmp_path, "plaintext"), tmp_path / "files")
    assert sorted(file.name for file in files) == sorted(file.name for file in (tmp_path / "files").iterdir())
    assert "SASL" not in (tmp_path / "files" / "kafka-rest.properties").read_text()
