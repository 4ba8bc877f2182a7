"""What this machine must have before anything is started; every finding says what to do."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
from pathlib import Path

import psutil

from pinflow.errors import PreflightError
from pinflow.packages import java

# The whole stack, started, takes 2.3 GB (bench/README.md); with three streams and a batch at work 4 GB were seen.
MEMORY_NEEDED = 5 * 2**30
DISK_NEEDED = 3 * 2**30
OLDEST_JAVA = 17


def check_machine(home: Path) -> None:
    """Raise PreflightError when Java, memory or disk space does not suffice."""
    check_java()
    available = psutil.virtual_memory().available
    if available < MEMORY_NEEDED:
        raise PreflightError(
            f"memory: {available / 2**30:.1f} GiB available, the stack needs {MEMORY_NEEDED / 2**30:.0f} GiB",
            "close other programs, or start fewer services (stack.services in the profile)",
        )
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free < DISK_NEEDED:
        raise PreflightError(
            f"disk: {free / 2**30:.1f} GiB free at {home}, the stack needs {DISK_NEEDED / 2**30:.0f} GiB",
            "free some space, or put stack.directory of the profile on another disk",
        )


def check_java() -> None:
    """Raise PreflightError when there is no Java of at least version 17."""
    executable = java()
    done = subprocess.run([executable, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)(?:\.(\d+))?', done.stderr + done.stdout)
    version = int(found.group(1)) if found else 0
    # Java 8 and older call themselves 1.x.
    if version == 1 and found:
        version = int(found.group(2))
    if version < OLDEST_JAVA:
        raise PreflightError(
            f"Java: {executable} is version {version or 'unknown'}; Kafka and Spark need {OLDEST_JAVA} or newer",
            "install a newer one, and set JAVA_HOME to it if both must stay",
        )


def check_port(service: str, port: int) -> None:
    """Raise PreflightError that names the process which holds a port on this machine."""
    with socket.socket() as probe:
        # Without this a port that was closed seconds ago would count as in use.
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
        # Another user's sockets are hidden from all but root, a process may end while it is looked at.
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"process {process.pid} ({process.name()}, in {process.cwd()}) holds it"
    return "a process of another user holds it"
