"""The container's variables, by the official image's own program: what the broker gets in Compose."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from foundation import environment
from foundation.profile import ROOT
from services.kafka.native import java

# For the image's start script, and no settings of the broker.
OF_THE_JVM = {"heap.opts", "jvm.performance.opts"}


def test_the_images_program_renders_the_containers_variables(tmp_path: Path) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    own = {k: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", v) for k, v in compose["services"]["kafka"]["environment"].items()}
    given = environment.read("kafka") | own | {"KAFKA_LOG_DIRS": str(tmp_path / "data")}
    folders = {name: tmp_path / name for name in ("default", "mounted", "final")}
    arguments = []
    for name, folder in folders.items():
        folder.mkdir()
        arguments += [f"--{name}-configs-dir", str(folder)]
    (folders["mounted"] / "server.properties").touch()
    done = subprocess.run(
        [*java("kafka.docker.KafkaDockerWrapper"), "setup", *arguments],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = (folders["final"] / "server.properties").read_text(encoding="utf-8")
    rendered = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    expected = environment.properties(given, "KAFKA_")
    assert rendered == {k: v for k, v in expected.items() if k not in OF_THE_JVM}
    assert rendered["advertised.listeners"] == "PLAINTEXT://kafka:9092,HOST://127.0.0.1:9092"
