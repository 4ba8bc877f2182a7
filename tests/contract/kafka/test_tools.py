"""bin/kafka-*.sh: Kafka's own tools, as people type them on their EC2 client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from foundation.profile import ROOT
from tests.servers.service import Running, write_profile


def run(tool: str, profile: Path, *arguments: str, given: str = "", cwd: Path | None = None) -> str:
    done = attempt(tool, profile, *arguments, given=given, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempt(
    tool: str, profile: Path, *arguments: str, given: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "bin" / tool), *arguments],
        input=given,
        cwd=cwd,
        env={**os.environ, "PROFILE": str(profile)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_the_producer_sends_the_consumer_shows_from_any_directory(kafka: Running, tmp_path: Path) -> None:
    # A folder that looks like a package of ours must not be taken for it.
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").write_text("raise SystemExit('wrong package')")
    profile = kafka.profile.path
    run("kafka-topics.sh", profile, "--create", "--topic", "typed.by.hand", cwd=tmp_path)
    lines = '{"index": 1}\n{"index": 2}\n'
    run("kafka-console-producer.sh", profile, "--topic", "typed.by.hand", given=lines, cwd=tmp_path)
    options = ["--topic", "typed.by.hand", "--from-beginning", "--max-messages", "2", "--timeout-ms", "20000"]
    assert run("kafka-console-consumer.sh", profile, *options, "--group", "people", cwd=tmp_path) == lines
    assert "typed.by.hand" in run("kafka-consumer-groups.sh", profile, "--describe", "--group", "people")


def test_a_command_of_the_course_works_with_its_own_brokers_and_client_properties(
    kafka: Running, tmp_path: Path
) -> None:
    (tmp_path / "client.properties").write_text("client.id=ec2-client\n")
    brokers = kafka.profile.kafka.bootstrap_servers
    options = ["--bootstrap-server", brokers, "--command-config", "client.properties", "--topic", "0a1b2c3d4e5f.extra"]
    # PROFILE names a cluster that does not run: given brokers come first.
    stopped = write_profile(tmp_path, "kafka").path
    assert "Created topic 0a1b2c3d4e5f.extra." in run("kafka-topics.sh", stopped, *options, "--create", cwd=tmp_path)
    assert "0a1b2c3d4e5f.extra" in run("kafka-topics.sh", stopped, f"--bootstrap-server={brokers}", "--list")


def test_a_link_to_a_tool_works_where_the_person_put_it(kafka: Running, tmp_path: Path) -> None:
    link = tmp_path / "kafka-topics.sh"
    link.symlink_to(ROOT / "bin" / "kafka-topics.sh")
    done = subprocess.run(
        [str(link), "--list"],
        env={**os.environ, "PROFILE": str(kafka.profile.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert kafka.profile.topics[0] in done.stdout.splitlines()


def test_without_a_running_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    done = attempt("kafka-topics.sh", write_profile(tmp_path, "kafka").path, "--list")
    assert done.returncode == 1
    assert "make up" in done.stderr
    assert "Traceback" not in done.stderr
