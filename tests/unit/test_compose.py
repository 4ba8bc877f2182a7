"""docker-compose.yml: official images, pinned, on loopback, from the very files that the native way reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from pinflow.instance import LOCAL_PORT
from pinflow.profile import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def has_compose() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed here")
def test_docker_compose_accepts_it() -> None:
    done = subprocess.run(["docker", "compose", "config", "-q"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_every_port_is_published_on_loopback_only(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned(service: str) -> None:
    version = SERVICES[service]["image"].rpartition(":")[2].rstrip("}").rpartition("-")[2]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_its_folder_its_settings_and_a_health_check(service: str) -> None:
    definition = SERVICES[service]
    assert definition["env_file"] == f"services/{service}/{service}.env"
    assert (ROOT / definition["env_file"]).is_file()
    assert (ROOT / "services" / service / "native.py").is_file()
    assert definition["healthcheck"]["test"]


def test_the_ports_are_those_of_the_local_profile() -> None:
    profile = (ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8")
    published = {port.split(":")[1] for definition in SERVICES.values() for port in definition.get("ports", [])}
    assert published == {port for _, port in LOCAL_PORT.findall(profile)}


def test_no_secret_stands_in_a_settings_file() -> None:
    for file in (ROOT / "services").glob("*/*.env"):
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            assert not (re.search(r"PASSWORD|SECRET|TOKEN", name) and "RANDOM" not in name and value), f"{file}: {line}"
