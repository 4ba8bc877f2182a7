"""What only containers can suffer: removed, cut off from the network, out of space. Nothing is lost, status is honest.

`python -m tests.compose.engine run -- make test-faults RUNTIME=compose`; the other files' kills run there as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import containers
from tests.faults.test_kills import emulate, posts_in_s3
from tests.servers.waiting import wait_for
from tests.stack import TestStack, in_containers

pytestmark = pytest.mark.skipif(not in_containers(), reason="RUNTIME=compose only")

INGESTION = "[mysql, kafka, rest_proxy, localstack, connect]"
POSTS = 600
REMOVED = ("rest_proxy", "kafka", "connect", "connector")
CUT = ("kafka", "rest_proxy", "localstack", "connect")
ROOM = 200  # MiB of Kafka's volume


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that can be filled up: it outlives a container, as a volume does, and unlike a container's tmpfs."""
    directory = tmp_path_factory.mktemp("kafka")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}m,mode=0777", "tmpfs", str(directory)], check=True)
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.fixture(scope="module")
def stack(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestStack]:
    """The ingestion alone, with Kafka's data in that directory."""
    override = tmp_path_factory.mktemp("compose") / "room.yml"
    options = {"type": "none", "o": "bind", "device": str(room)}
    override.write_text(json.dumps({"volumes": {"kafka": {"driver_opts": options}}}))
    files = os.environ.get("COMPOSE_FILE", "docker-compose.yml")
    stack = TestStack.create("compose-faults")
    text = stack.profile.path.read_text().partition("  services:")[0]
    stack.profile.path.write_text(f"{text}  services: {INGESTION}\n  dump: null\n")
    stack = stack.reloaded()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOSE_FILE", f"{files}:{override}")
        try:
            stack.pinflow("up")
            yield stack
        finally:
            stack.pinflow("reset", "--yes")


def all_there(stack: TestStack, upto: int) -> None:
    """Every post sent so far is in S3, and `make status` is content."""
    sent = set(range(upto))
    wait_for("every record in S3", lambda: all(sent <= posts for posts in posts_in_s3(stack)), timeout=120)
    wait_for("all services ready", lambda: stack.pinflow("status", check=False).returncode == 0, timeout=120)


def delivered(emulator: subprocess.Popen[str]) -> None:
    output, errors = emulator.communicate(timeout=240)
    assert emulator.returncode == 0, errors
    assert json.loads(output)["failures"] == 0


def state(stack: TestStack, service: str) -> str:
    """What `make status` says of a service at this moment."""
    lines = stack.pinflow("status", check=False).stdout.splitlines()
    return next(line.split()[1] for line in lines if line.split()[:1] == [service])


@pytest.mark.parametrize("service", REMOVED)
def test_a_container_removed_in_mid_flow_is_missed_and_comes_back_by_up(stack: TestStack, service: str) -> None:
    start = REMOVED.index(service) * POSTS
    emulator = emulate(stack, start)
    time.sleep(3)
    containers.docker("rm", "--force", containers.identity(stack.profile, service))
    if service != "connector":  # the sink goes on without the step that watches it
        assert state(stack, service) == "stopped"
    stack.pinflow("up")
    delivered(emulator)
    all_there(stack, start + POSTS)


@pytest.mark.parametrize("service", CUT)
def test_a_service_without_network_for_20_seconds_loses_nothing(stack: TestStack, service: str) -> None:
    start = (len(REMOVED) + CUT.index(service)) * POSTS
    network, identity = f"{containers.project(stack.profile)}_default", containers.identity(stack.profile, service)
    emulator = emulate(stack, start)
    time.sleep(3)
    containers.docker("network", "disconnect", network, identity)
    began = time.monotonic()
    assert state(stack, service) != "ready"
    time.sleep(max(0.0, 20 - (time.monotonic() - began)))
    containers.docker("network", "connect", "--alias", service, network, identity)
    delivered(emulator)
    all_there(stack, start + POSTS)


def test_a_full_volume_is_told_and_nothing_is_lost_once_there_is_room(stack: TestStack, room: Path) -> None:
    start = (len(REMOVED) + len(CUT)) * POSTS
    emulator = emulate(stack, start)
    time.sleep(2)
    filler = room / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True, check=False)
    wait_for("status tells of Kafka", lambda: state(stack, "kafka") != "ready", timeout=60)
    assert "No space left on device" in stack.pinflow("logs", "kafka", "-n", "400").stdout
    filler.unlink()
    delivered(emulator)
    all_there(stack, start + POSTS)


def test_after_down_and_up_everything_is_there(stack: TestStack) -> None:
    before = posts_in_s3(stack)
    stack.pinflow("down")
    assert not containers.identity(stack.profile, "kafka")
    assert state(stack, "kafka") == "stopped"
    stack.pinflow("up")
    wait_for("S3 filled again from Kafka", lambda: posts_in_s3(stack) == before, timeout=120)
