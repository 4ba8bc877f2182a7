"""The Databricks cluster without Docker: cluster.py in the spark environment, on 127.0.0.1."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from foundation import environment, loopback, loops, packages, versions
from foundation.errors import NotReady, ProfileError
from foundation.profile import ROOT, Profile
from foundation.service import Command, Service

STALE = 60.0
"""Seconds after which a heartbeat counts as lost. It comes every 2 s, on a busy machine much later."""

_STARTING = "Spark is starting: it has not yet done its warm-up"


def address(profile: Profile) -> tuple[str, int]:
    """Host and port of the Spark Connect server; raises ProfileError if the profile names one elsewhere."""
    url = urlsplit(profile.spark.remote)
    if url.hostname not in loopback.SERVED or url.port is None:
        raise ProfileError(
            f"{profile.path}: spark.remote: {profile.spark.remote} is not on this machine",
            "write sc://127.0.0.1:15002 (or another port), or remove spark from stack.services",
        )
    return "127.0.0.1", url.port


def home(profile: Profile) -> Path:
    """The directory with everything that the cluster keeps."""
    return profile.home / "spark"


def control_url(profile: Profile) -> str:
    """The control endpoint: what only the driver can do (files, mounts, sessions), on the port after Connect's."""
    host, port = address(profile)
    return f"http://{host}:{port + 1}"


def warehouse(profile: Profile) -> Path:
    """The directory of the Delta tables, one each, named like the table. On the cluster dbfs:/user/hive/warehouse."""
    return home(profile) / "dbfs" / "user" / "hive" / "warehouse"


def writable(profile: Profile) -> list[Path]:
    """The directories of file:/, the disk of this machine, below which dbutils.fs may write and delete."""
    if profile.spark.local_files == "all":
        return [Path("/")]
    # Not the TMPDIR of this process: each start has another one, and `up` compares settings.
    return [Path("/tmp"), profile.home]


def command(profile: Profile) -> Command:
    """cluster.py with the variables of spark.env and this machine's addresses and paths."""
    host, port = address(profile)
    variables = environment.read("spark") | {
        "CLUSTER_HOME": str(home(profile)),
        "CLUSTER_ADDRESS": f"{host}:{port}",
        "CLUSTER_WRITABLE": os.pathsep.join(map(str, writable(profile))),
        "SPARK_CONF_DIR": str(ROOT / "services" / "spark"),
        "SPARK_DIST_CLASSPATH": str(packages.jars("spark") / "*"),
        # By its name: Spark asks a shell for it (`command -v …`) without quotes, and without it finds no Kinesis.
        "PYSPARK_PYTHON": packages.python("spark").name,
        "PATH": f"{packages.python('spark').parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(str(ROOT / "services" / "spark" / name) for name in ("kinesis", "workers")),
        "AWS_REGION": profile.aws.region,
        "AWS_ENDPOINT_URL": profile.aws.endpoint_url or "",
        "CLUSTER_ID": profile.databricks.cluster_id,
        "CLUSTER_CONTROL_TOKEN": profile.databricks.token.get_secret_value(),
    }
    if profile.aws.access_key_id and profile.aws.secret_access_key:
        variables["AWS_ACCESS_KEY_ID"] = profile.aws.access_key_id.get_secret_value()
        variables["AWS_SECRET_ACCESS_KEY"] = profile.aws.secret_access_key.get_secret_value()
    return Command([str(packages.python("spark")), "-m", "services.spark.cluster"], variables)


def probe(profile: Profile) -> None:
    """Ready when, after the warm-up, the heartbeat is fresh, the port is open, and no loop fails."""
    beat = _heartbeat(profile)
    age = time.time() - beat["time"]
    if age > STALE:
        raise NotReady(f"Spark has not answered its own query for {age:.0f} s")
    host, port = address(profile)
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError as error:
        raise NotReady(f"Spark Connect on {host}:{port}: {error}") from None
    loops.report(profile, "spark", beat.get("failing", []))


def owned(profile: Profile) -> None:
    """Raise NotReady if the process that wrote the heartbeat is gone."""
    try:
        os.kill(int(_heartbeat(profile)["pid"]), 0)
    except ProcessLookupError:
        raise NotReady(_STARTING) from None


def _heartbeat(profile: Profile) -> dict[str, Any]:
    """Process id, seconds since 1970, and the loops that fail."""
    try:
        beat: dict[str, Any] = json.loads((home(profile) / "ready").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotReady(_STARTING) from None
    return beat


SERVICE = Service(
    name="spark",
    title=f"Apache Spark {versions.SPARK.native} with Delta {versions.DELTA.native} (the Databricks cluster)",
    ports=lambda profile: [address(profile)[1], address(profile)[1] + 1],
    command=command,
    probe=probe,
    memory=1.5,
    owned=owned,
)
