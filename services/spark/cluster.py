"""The cluster: a process that hosts the Spark driver with the Spark Connect server in it.

Notebooks and jobs are thin Connect clients; this process keeps what only the driver can do. It runs in the spark
environment, takes its settings from the environment (spark.env) and knows nothing of pinflow.

The JVM is a child of this process and ends with it: its standard input is a pipe that this process holds, and
PySpark's gateway exits when that closes, after SIGKILL too.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

HEARTBEAT = 2.0
"""Seconds between two proofs that the driver still answers; `probe` in native.py allows for several."""


def main() -> None:
    """Start the driver, warm it up, write the file `ready`, and renew that until the end."""
    cluster = Cluster.from_environment()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    with cluster.alone() as lock, cluster.driver(lock) as (spark, jvm):
        warm_up(spark)
        _say(f"ready on {cluster.host}:{cluster.port}")
        while jvm.poll() is None:
            spark.sql("select 1").collect()
            cluster.beat()
            time.sleep(HEARTBEAT)
        raise SystemExit(f"the JVM ended with exit status {jvm.returncode}")


@dataclass(frozen=True)
class Cluster:
    """Where the cluster keeps its state, and the address that Spark Connect listens on."""

    home: Path
    host: str
    port: int
    region: str

    @classmethod
    def from_environment(cls) -> Cluster:
        """Read CLUSTER_HOME, CLUSTER_ADDRESS and AWS_REGION."""
        host, _, port = os.environ["CLUSTER_ADDRESS"].rpartition(":")
        return cls(Path(os.environ["CLUSTER_HOME"]), host, int(port), os.environ["AWS_REGION"])

    @property
    def ready(self) -> Path:
        """The file that exists while the cluster can be used: renewed at every heartbeat."""
        return self.home / "ready"

    def beat(self) -> None:
        """Renew the file `ready`: the pid of this process and the time, in one atomic step."""
        draft = self.ready.with_suffix(".new")
        draft.write_text(json.dumps({"pid": os.getpid(), "time": time.time()}), encoding="utf-8")
        draft.replace(self.ready)

    @contextmanager
    def alone(self, patience: float = 30) -> Iterator[int]:
        """Wait until no other process uses this home, and hold it; the JVM inherits the lock.

        After a SIGKILL of this process its JVM needs a moment to end, and until then it holds the metastore
        (Derby allows one process) and the port.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.ready.unlink(missing_ok=True)
        lock = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{self.home}: another cluster has used it for {patience:.0f} s") from None
                time.sleep(0.1)
        try:
            yield lock
        finally:
            self.ready.unlink(missing_ok=True)

    @contextmanager
    def driver(self, lock: int) -> Iterator[tuple[SparkSession, Any]]:
        """The driver's own session and its JVM process, which holds ``lock`` for as long as it lives."""
        scratch = self.home / "tmp"
        scratch.mkdir(exist_ok=True)
        os.environ["SPARK_LOCAL_DIRS"] = os.environ["TMPDIR"] = str(scratch)
        os.environ["SPARK_LOCAL_IP"] = self.host
        os.environ["SPARK_SUBMIT_OPTS"] = f"-Djava.io.tmpdir={scratch} -Dderby.system.home={self.home}"
        os.chdir(self.home)
        gateway = launch_gateway(popen_kwargs={"pass_fds": (lock,)})
        try:
            # Settings that are given after the gateway's start travel over py4j and stand in no process list.
            settings = SparkConf(_jvm=gateway.jvm).setAll(self.settings().items())
            yield SparkSession(SparkContext(conf=settings, gateway=gateway)), gateway.proc
        finally:
            _stop(gateway.proc)

    def settings(self) -> dict[str, str]:
        """What spark-defaults.conf cannot know: addresses and directories."""
        return {
            "spark.driver.host": self.host,
            "spark.driver.bindAddress": self.host,
            "spark.connect.grpc.binding.address": self.host,
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.hadoop.fs.s3a.endpoint.region": self.region,
            "spark.hadoop.fs.viewfs.mounttable.path": self.mount_tables().as_uri(),
            "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:metastore;create=true",
        }

    def mount_tables(self) -> Path:
        """The directory with the mount table of dbfs:/; at first only what is no mount: the local directory `dbfs`.

        Hadoop reads the file mount-table.<n>.xml with the greatest n, so a new version appears in one step.
        """
        tables, root = self.home / "mounts", self.home / "dbfs"
        root.mkdir(exist_ok=True)
        tables.mkdir(exist_ok=True)
        if not any(tables.iterdir()):
            (tables / "mount-table.1.xml").write_text(
                "<configuration>\n  <property>\n    <name>fs.viewfs.mounttable.default.linkFallback</name>\n"
                f"    <value>{root.as_uri()}</value>\n  </property>\n</configuration>\n",
                encoding="utf-8",
            )
        return tables


def warm_up(spark: SparkSession) -> None:
    """Do once what costs seconds the first time: a query, JSON, a Delta table in the metastore."""
    started = time.monotonic()
    spark.sql("select 1").collect()
    _say(f"warm after {time.monotonic() - started:.1f} s")


def _stop(jvm: Any, patience: float = 15) -> None:
    jvm.stdin.close()
    try:
        jvm.wait(patience)
    except Exception:
        jvm.kill()
        jvm.wait()


def _end(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
