"""The machine that is measured, and the memory of services on it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from foundation.java import java, java_version
from tests.stack import TestStack


def describe() -> str:
    """One line: date, processor, cores, memory, system, Python, Java."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return ", ".join(
        (
            datetime.now(UTC).strftime("%Y-%m-%d"),
            names[0] if names else platform.processor() or platform.machine(),
            f"{psutil.cpu_count()} cores",
            f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
            f"{platform.system()} {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}",
            f"Java {java_version(str(java()))}",
        )
    )


def memory(stack: TestStack, *services: str) -> int:
    """Bytes (proportional set size) of the services and all processes below them."""
    total = 0
    for process in _processes(stack, services):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def cpu(stack: TestStack, *services: str) -> float:
    """Seconds of CPU that the services and all processes below them have used, those that have exited included."""
    total = 0.0
    for process in _processes(stack, services):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _processes(stack: TestStack, services: Iterable[str]) -> Iterator[psutil.Process]:
    for main in (psutil.Process(stack.pid(service)) for service in services):
        yield from (main, *main.children(recursive=True))
