"""A service of the stack by itself, started as the stack starts it, in a directory and on ports of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from foundation.profile import ROOT, Profile, load
from pinflow.instance import LOCAL_PORT
from pinflow.stack.launch import service
from tests.servers.ports import free_port
from tests.servers.process import ServerProcess


def write_profile(home: Path, *services: str, **changes: Any) -> Profile:
    """The local profile on free ports, its state below ``home``; changes such as ``aws__secret_access_key="x"``."""
    text = (ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8")
    # What stands right behind a service's own port is its own too: Kafka's controller, Spark's control endpoint.
    ports = {port: free_port(2) for _, port in LOCAL_PORT.findall(text)}
    document = yaml.safe_load(LOCAL_PORT.sub(lambda found: f"{found[1]}{ports[found[2]]}", text))
    document["stack"] |= {"directory": str(home / "state"), "services": list(services)}
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            document[section][key] = value
        else:
            document[section] = value
    home.mkdir(parents=True, exist_ok=True)
    path = home / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(str(path))


class Running(ServerProcess):
    """One service's process: `python -m pinflow.stack.launch SERVICE PROFILE`."""

    def __init__(self, name: str, profile: Profile) -> None:
        super().__init__(profile.path.with_name(f"{name}.log"))
        self.profile = profile
        self.service = service(name)

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "pinflow.stack.launch", self.service.name, str(self.profile.path)]

    def is_ready(self) -> bool:
        self.service.owned(self.profile)
        self.service.probe(self.profile)
        return True

    def start(self, timeout: float = 180) -> float:
        """Prepare, launch, wait, initialise; returns the seconds from launch to ready."""
        self.service.prepare(self.profile)
        self.launch(directory=ROOT)
        seconds = self.wait_until_ready(timeout)
        self.service.initialise(self.profile, lambda line: None)
        return seconds
