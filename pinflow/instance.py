"""A second stack: a copy of a profile with other ports and another directory."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from foundation.errors import PinflowError, ProfileError
from foundation.loopback import is_free
from foundation.profile import find

LOCAL_PORT = re.compile(r"(127\.0\.0\.1:)(\d+)")


def write(profile: str, target: Path, directory: Path, offset: int) -> Path:
    """Write the profile to ``target`` with every local port increased by ``offset`` and its state in ``directory``.

    Raises PinflowError if ``target`` exists (it may belong to a running stack) or if a port would exceed 65535;
    ProfileError if nothing of the profile runs on this machine.
    """
    if target.exists():
        raise PinflowError(
            f"{target} already exists",
            f"choose another name, or delete the file, after make reset PROFILE={target.stem} if it has a stack",
        )
    text = _text(profile)
    highest = max(int(port) for _, port in LOCAL_PORT.findall(text)) + offset
    if highest > 65535:
        raise PinflowError(f"offset {offset}: port {highest} does not exist", "choose a smaller offset")
    moved = LOCAL_PORT.sub(lambda found: f"{found[1]}{int(found[2]) + offset}", text)
    document = yaml.safe_load(moved)
    document["stack"]["directory"] = str(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return target


def free_offset(profile: str, start: int = 10000, step: int = 50) -> int:
    """The first offset, from ``start`` on, with which all ports of the profile are free now.

    Raises ProfileError if nothing of the profile runs on this machine.
    """
    text = _text(profile)
    ports = sorted({int(port) for _, port in LOCAL_PORT.findall(text)})
    for offset in range(start, 65535 - ports[-1], step):
        # Some services also use the next port, for example Kafka's controller.
        if all(is_free(port + offset + neighbour) for port in ports for neighbour in (0, 1)):
            return offset
    raise PinflowError("no free ports for a second instance", "stop another instance with make down")


def _text(profile: str) -> str:
    source = find(profile)
    text = source.read_text(encoding="utf-8")
    if not yaml.safe_load(text).get("stack"):
        raise ProfileError(
            f"{source}: stack is null, so there is no stack on this machine to copy",
            "start from another profile: PROFILE=local",
        )
    return text
