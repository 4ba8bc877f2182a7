"""Checks this machine before anything is started; every error says what to do."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import psutil

from foundation.errors import PreflightError
from foundation.java import java
from foundation.profile import ROOT
from foundation.service import Service

# GiB for the commands themselves, such as the emulator.
MEMORY_MARGIN = 0.7
DISK_NEEDED = 3 * 2**30


def check_machine(home: Path, services: Sequence[Service]) -> None:
    """Raise PreflightError unless Java, memory for these services, disk space and directory names suffice."""
    java()
    for what, directory in (("this repository", ROOT), ("stack.directory", home)):
        check_path(what, directory)
    available, needed = psutil.virtual_memory().available, memory_needed(services, MEMORY_MARGIN)
    if available < needed:
        raise PreflightError(
            f"memory: {available / 2**30:.1f} GiB available, the stack needs {needed / 2**30:.1f} GiB: "
            + memory_of_each(services),
            "close other programs, or start fewer services (stack.services in the profile)",
        )
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free < DISK_NEEDED:
        raise PreflightError(
            f"disk: {free / 2**30:.1f} GiB free at {home}, the stack needs {DISK_NEEDED / 2**30:.0f} GiB",
            "free some space, or put stack.directory of the profile on another disk",
        )


def check_path(what: str, directory: Path) -> None:
    """Raise PreflightError for a path with a character at which Java and Spark split lists of paths, even if quoted."""
    found = [character for character in ":," if character in str(directory)]
    if found:
        raise PreflightError(
            f"{what}: the path {directory} contains `{found[0]}`, at which Java and Spark split lists of directories",
            "rename the folder or move to another; blanks, accents and quotes are fine",
        )


def memory_needed(services: Sequence[Service], margin: float) -> int:
    """Bytes that these services need; ``margin`` in GiB."""
    return int((sum(service.memory for service in services) + margin) * 2**30)


def memory_of_each(services: Sequence[Service]) -> str:
    """The GiB that each service needs, as text."""
    return ", ".join(f"{service.name} {service.memory:.1f}" for service in services)


def check_port(service: str, port: int) -> None:
    """Raise PreflightError that names the process which holds a port on this machine."""
    with socket.socket() as probe:
        # Without this, a port that was closed seconds ago would count as in use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PreflightError(
                f"{service}: port {port} cannot be used ({error.strerror}): {_holder(port)}",
                "stop that process, or change the port in the profile",
            ) from None


def _holder(port: int) -> str:
    for process in psutil.process_iter():
        # Another user's sockets are visible to root only, and a process may end meanwhile.
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"process {process.pid} ({process.name()}, in {process.cwd()}) holds it"
    return "a process of another user holds it"
