"""What the figures were measured on."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psutil


def describe() -> str:
    """One line: date, processor, cores, memory, system, Python, Java."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return ", ".join(
        (
            datetime.now(UTC).strftime("%Y-%m-%d"),
            _processor(),
            f"{psutil.cpu_count()} cores",
            f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
            f"{platform.system()} {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}",
            java[0] if java else "no Java",
        )
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
