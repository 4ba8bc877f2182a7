"""The cluster: a process that hosts the Spark driver with the Spark Connect server in it.

Notebooks and jobs are thin Connect clients; this process keeps what only the driver can do. It runs in the spark
environment, takes its settings from the environment (spark.env) and knows nothing of pinflow.

The JVM is a child of this process and exits with it: its standard input is a pipe that this process holds, and
PySpark's gateway exits when that closes, after SIGKILL too.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from foundation import supervised
from services.spark import compat, control, credentials, delta_connect
from services.spark.files import Files
from services.spark.hadoop import Hadoop
from services.spark.local_disk import LocalDisk
from services.spark.mounts import Mounts
from services.spark.sessions import Sessions

LOG_STORE = Path(__file__).with_name("FolderLogStore.java")
HEARTBEAT = 2.0
"""Seconds between two queries that show that the driver answers; `probe` in native.py allows for several."""


def main() -> None:
    """Start the driver, warm it up, write the file `ready`, and renew that until the JVM exits."""
    cluster = Cluster.from_environment()
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    with cluster.alone() as lock, cluster.driver(lock) as (spark, jvm):
        sessions = cluster.open_workspace(spark)
        warm_up(spark, sessions.any)
        _say(f"ready on {cluster.host}:{cluster.port}")
        while jvm.poll() is None:
            spark.sql("select 1").collect()
            cluster.beat()
            time.sleep(HEARTBEAT)
        raise SystemExit(f"the JVM exited with status {jvm.returncode}")


@dataclass(frozen=True)
class Cluster:
    """The cluster's settings.

    home           the directory of everything that it keeps
    host, port     where Spark Connect listens; the control endpoint is on the next port
    writable       directories of file:/ below which dbutils.fs may write
    control_token  what the control endpoint asks for; without it there is no endpoint
    """

    home: Path
    host: str
    port: int
    region: str
    cluster_id: str
    writable: tuple[Path, ...]
    control_token: str = field(repr=False)

    @classmethod
    def from_environment(cls) -> Cluster:
        """Read CLUSTER_HOME, _ADDRESS, _ID, _WRITABLE and AWS_REGION; remove CLUSTER_CONTROL_TOKEN.

        What runs on the cluster inherits the environment and must not have the token.
        """
        host, _, port = os.environ["CLUSTER_ADDRESS"].rpartition(":")
        return cls(
            home=Path(os.environ["CLUSTER_HOME"]),
            host=host,
            port=int(port),
            region=os.environ["AWS_REGION"],
            cluster_id=os.environ.get("CLUSTER_ID", ""),
            writable=tuple(map(Path, os.environ["CLUSTER_WRITABLE"].split(os.pathsep))),
            control_token=os.environ.pop("CLUSTER_CONTROL_TOKEN", ""),
        )

    @property
    def dbfs(self) -> Path:
        """The directory of this machine that is dbfs:/."""
        return self.home / "dbfs"

    @property
    def scratch(self) -> Path:
        """Where the driver and all that runs in it keep what no later start needs."""
        return self.home / "tmp"

    @property
    def jvm_options(self) -> str:
        """The JVM's directories, as SPARK_SUBMIT_OPTS: Spark splits it like a shell, and a path may have blanks.

        What the environment has under that name comes before them, so that the directories stay the stack's.
        """
        options = shlex.join([f"-Djava.io.tmpdir={self.scratch}", f"-Dderby.system.home={self.home}"])
        return f"{os.environ.get('SPARK_SUBMIT_OPTS', '')} {options}".strip()

    @property
    def ready(self) -> Path:
        """The file that exists while the cluster can be used."""
        return self.home / "ready"

    def beat(self) -> None:
        """Renew the file `ready` in one atomic step: the pid of this process, the time, and the loops that fail."""
        draft = self.ready.with_suffix(".new")
        beat = {"pid": os.getpid(), "time": time.time(), "failing": supervised.failing()}
        draft.write_text(json.dumps(beat), encoding="utf-8")
        draft.replace(self.ready)

    @contextmanager
    def alone(self, timeout: float = 30) -> Iterator[int]:
        """Wait until no other process uses this home, and hold it; the JVM inherits the lock.

        After a SIGKILL of this process its JVM needs a moment to exit, and until then it holds the metastore
        (Derby allows one process) and the port.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.ready.unlink(missing_ok=True)
        lock = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{self.home}: another cluster has used it for {timeout:.0f} s") from None
                time.sleep(0.1)
        try:
            yield lock
        finally:
            self.ready.unlink(missing_ok=True)

    @contextmanager
    def driver(self, lock: int) -> Iterator[tuple[SparkSession, Any]]:
        """The driver's own session and its JVM process, which holds ``lock`` for as long as it runs."""
        # What a killed driver left there (shuffles, cached tables) may be gigabytes.
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        for name in ("FileStore", "tmp", "mnt", "user"):
            (self.dbfs / name).mkdir(parents=True, exist_ok=True)
        os.environ["SPARK_LOCAL_DIRS"] = os.environ["TMPDIR"] = str(self.scratch)
        os.environ["SPARK_LOCAL_IP"] = self.host
        os.environ["SPARK_SUBMIT_OPTS"] = self.jvm_options
        os.chdir(self.home)
        gateway = launch_gateway(popen_kwargs={"pass_fds": (lock,), "start_new_session": True})
        try:
            compat.add_log_store(gateway, LOG_STORE.read_text(encoding="utf-8"))
            # Settings that are made after the gateway's start travel over py4j and appear in no process list.
            settings = SparkConf(_jvm=gateway.jvm).setAll(self.settings().items())
            yield SparkSession(SparkContext(conf=settings, gateway=gateway)), gateway.proc
        finally:
            _stop(gateway.proc)

    def settings(self) -> dict[str, str]:
        """What spark-defaults.conf cannot know: addresses, directories, and what the cluster is called."""
        return {
            "spark.driver.host": self.host,
            "spark.driver.bindAddress": self.host,
            # Its plugin would start the Connect server with the driver: too early, see `open_workspace`.
            "spark.plugins": "",
            "spark.connect.grpc.binding.address": self.host,
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.hadoop.fs.s3a.endpoint.region": self.region,
            # Where S3A collects what it is going to write; by default /tmp/hadoop-<user>.
            "spark.hadoop.hadoop.tmp.dir": str(self.scratch),
            # What is under no mount is in a local directory.
            "spark.hadoop.fs.viewfs.mounttable.default.linkFallback": self.dbfs.as_uri(),
            "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:metastore;create=true",
            "spark.delta.logStore.dbfs.impl": f"io.delta.storage.{LOG_STORE.stem}",
            "spark.databricks.clusterUsageTags.clusterId": self.cluster_id,
            "spark.databricks.clusterUsageTags.clusterName": "pinflow",
        }

    def open_workspace(self, spark: SparkSession) -> Sessions:
        """Restore the mounts, create what a workspace starts with, and only then answer notebooks and the workspace.

        A client that waits connects at once, and without the mounts its dbfs:/ would never have them.
        """
        hadoop = Hadoop(spark.sparkContext)
        mounts = Mounts(self.home / "mounts.json", hadoop, own_endpoint=bool(os.environ.get("AWS_ENDPOINT_URL")))
        mounts.restore()
        delta_connect.register(spark.sparkContext)
        access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        if access_key and secret_key:
            credentials.provide(spark, self.dbfs, access_key, secret_key, self.home / "credentials.sha256")
        sessions = Sessions(spark.sparkContext)
        sessions.open()
        if self.control_token:
            files = Files(hadoop, mounts, self.dbfs, LocalDisk(self.writable))
            calls = control.Control(files, mounts, sessions)
            control.serve(calls, self.host, self.port + 1, self.control_token)
        return sessions


def warm_up(spark: SparkSession, wanted: Callable[[], bool]) -> None:
    """Do once what costs some 15 s the first time: JSON, a shuffle, a Delta table created, replaced and read.

    Stops as soon as the cluster is ``wanted``: what people run warms it up as well, and would wait for this.
    """
    started, outcome = time.monotonic(), "warm"
    rows = spark.range(2).selectExpr("try_parse_json(concat('[', id, ']')) is null as broken").groupBy("broken").count()
    # Overwritten the first time too: a start that was killed here may have left it.
    write = rows.write.mode("overwrite").option("overwriteSchema", True)
    steps: list[Callable[[], object]] = [
        lambda: write.saveAsTable("warm_up"),
        lambda: write.saveAsTable("warm_up"),
        lambda: spark.table("warm_up").collect(),
    ]
    for step in steps:
        if wanted():
            outcome = "wanted"
            break
        step()
    spark.sql("drop table if exists warm_up")
    _say(f"{outcome} after {time.monotonic() - started:.1f} s")


def _stop(jvm: Any, timeout: float = 15) -> None:
    jvm.stdin.close()
    try:
        jvm.wait(timeout)
    except Exception:
        jvm.kill()
        jvm.wait()
    # Python processes of streaming queries outlive it: they try for minutes to report to it.
    with suppress(ProcessLookupError):
        os.killpg(jvm.pid, signal.SIGKILL)


def _exit(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
