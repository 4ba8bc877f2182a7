"""What the figures were measured on."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from foundation.java import java, java_version


def describe() -> str:
    """One line: date, processor, cores, memory, system, Python, Java."""
    return ", ".join(
        (
            datetime.now(UTC).strftime("%Y-%m-%d"),
            _processor(),
            f"{psutil.cpu_count()} cores",
            f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
            f"{platform.system()} {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}",
            f"Java {java_version(str(java()))}",
        )
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
