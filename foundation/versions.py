"""The versions of versions.toml. Standard library only: the installer runs on a bare Python."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from foundation.paths import ROOT


@dataclass(frozen=True)
class Part:
    """A part of the pipeline: its version without Docker and in containers, and why the two differ if they do."""

    title: str
    native: str
    image: str
    why: str = ""


_FILE = tomllib.loads((ROOT / "versions.toml").read_text(encoding="utf-8"))
PYTHONS: dict[str, tuple[str, str]] = {
    name: (oldest, newest) for name, (oldest, newest) in _FILE["environments"].items()
}
"""The oldest and the newest Python that each environment installs on."""
PYTHON_IMAGE: str = _FILE["python"]["image"]
AIRFLOW: list[str] = _FILE["airflow"]["version"]
"""The versions of Airflow that a profile may name; the first is the default."""


def _part(name: str) -> Part:
    entry = _FILE[name]
    if "version" not in entry:
        return Part(entry["title"], entry["native"], entry["image"], entry["why"])
    version = " or ".join(entry["version"]) if isinstance(entry["version"], list) else entry["version"]
    return Part(entry["title"], version, version)


MYSQL, KAFKA, CONFLUENT, S3_SINK, LOCALSTACK = map(_part, ("mysql", "kafka", "confluent", "s3_sink", "localstack"))
KINESIS, SPARK, DELTA, HADOOP = map(_part, ("kinesis", "spark", "delta", "hadoop"))
PARTS = (MYSQL, KAFKA, CONFLUENT, S3_SINK, LOCALSTACK, KINESIS, SPARK, DELTA, HADOOP, _part("airflow"))
