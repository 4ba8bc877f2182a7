"""An engine for the tests: the machine's own, else one out of Debian's packages, which leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.compose import debian, userland
from tests.compose.engine import Engine
from tests.compose.errors import NoEngine
from tests.stack import TestStack, running


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine | None]:
    """Docker's own variables say where it is while this lives; None: it is the machine's own.

    Skips, with the reason, where no engine can be had.
    """
    if subprocess.run("docker info", shell=True, capture_output=True, check=False).returncode == 0:
        yield None
        return
    own = Engine()
    try:
        debian.unpacked(own.home)
        before = _traces(own)
        own.up()
    except NoEngine as reason:
        pytest.skip(f"not run in containers: {reason}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.environment().items():
            patch.setenv(name, value)
        try:
            yield own
        finally:
            own.down()
    assert not _traces(own) - before, "the engine left something behind"


@pytest.fixture(scope="session")
def images(engine: Engine | None) -> dict[str, str]:
    """The images of our own, really built; on the machine's own engine `make up` builds them."""
    if engine is None:
        return {}
    userland.make(engine.docker, engine.home)
    return {service: userland.build(engine.docker, service) for service in ("spark", "databricks")}


@pytest.fixture(scope="module")
def stack(images: dict[str, str]) -> Iterator[TestStack]:
    """The whole stack in containers, on ports of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTIME", "compose")
        if images:
            patch.setenv("COMPOSE_FILE", f"{os.environ['COMPOSE_FILE']}:tests/compose/own-images.yml")
        yield from running("compose")


def _traces(engine: Engine) -> set[str]:
    """What an engine of ours shows of itself on the machine: processes, bridges, rules, mounts, directories."""
    found = {f"process {p.pid} {p.info['name']}" for p in psutil.process_iter(["name"]) if p.info["name"] in _ENGINE}
    found |= {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(("br-", "veth", "docker"))}
    found |= {line for line in engine.rules().splitlines() if "DOCKER" in line or "FORWARD DROP" in line}
    places = (str(engine.home / "data"), str(engine.run_directory))
    found |= {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] in places}
    return found | {place for place in places if Path(place).exists()}


_ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy")
