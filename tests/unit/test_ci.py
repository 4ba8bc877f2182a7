"""The workflow and the development container, which nothing here can run: what can be checked of them all the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from foundation.profile import ROOT
from pinflow.instance import LOCAL_PORT

JOB: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["make"]
CONTAINER: dict[str, Any] = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_command_is_make() -> None:
    assert [step["run"] for step in JOB["steps"] if "run" in step] == ["make ${{ matrix.make }}"]


@pytest.mark.parametrize("command", [row["make"] for row in JOB["strategy"]["matrix"]["include"]])
def test_every_target_is_in_the_makefile(command: str) -> None:
    targets = [word for word in command.split() if "=" not in word]
    assert targets and set(targets) <= TARGETS


@pytest.mark.parametrize("action", [step["uses"] for step in JOB["steps"] if "uses" in step])
def test_every_action_is_of_github_itself_and_pinned_by_its_commit(action: str) -> None:
    assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)


def test_there_is_a_python_for_the_localstack_of_the_image_and_another_for_the_rest() -> None:
    """Without a python3.13 its tests would be skipped there (tests/contract/localstack/official.py)."""
    [step] = [step for step in JOB["steps"] if "setup-python@" in step.get("uses", "")]
    assert step["with"]["python-version"].split() == ["3.13", "3.11"], "the last one is `python3`"


def test_the_container_forwards_the_ports_of_the_profile_with_a_label_each() -> None:
    profile = (ROOT / "profiles/local.yaml").read_text(encoding="utf-8")
    assert set(CONTAINER["forwardPorts"]) == {int(port) for _, port in LOCAL_PORT.findall(profile)}
    assert {int(port) for port in CONTAINER["portsAttributes"]} == set(CONTAINER["forwardPorts"])
    assert all(attributes["label"] for attributes in CONTAINER["portsAttributes"].values())


def test_the_container_installs_and_says_what_to_type() -> None:
    commands = re.findall(r"make ([a-z-]+)", f"{CONTAINER['postCreateCommand']} {CONTAINER['postAttachCommand']}")
    assert commands == ["install", "demo"] and set(commands) <= TARGETS
