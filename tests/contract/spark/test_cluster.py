"""The cluster as the stack runs it: what it listens on and keeps, and how it ends and comes back."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import requests

from foundation.packages import python
from foundation.profile import ROOT, Profile
from services.spark import native
from tests.servers.process import runs
from tests.servers.service import Running, write_profile
from tests.servers.waiting import wait_for

SECRET = "a-secret-of-the-test"
MOUNTED = "a/secret+of=a:mount"
PATIENCE = 180.0
"""Seconds: a start takes 25 on an idle machine."""


class S3:
    """Has every bucket, and nothing in it; notes the access keys of those who ask."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        s3 = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = re.search(r"Credential=(\w+)/", self.headers.get("Authorization", ""))
                s3.keys.add(found[1] if found else "")
                body = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
                self.send_response(200)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.send_response(404)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    s3 = S3()
    yield s3
    s3.server.shutdown()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, s3: S3) -> Iterator[Running]:
    """A cluster for all tests of this file, from first to last: they kill it, and the last one ends it."""
    # A folder as people have them: Spark's own scripts and options are split by blanks.
    home = tmp_path_factory.mktemp("cluster") / "my projects/50%20 é 'x'"
    running = make(home, s3.url)
    try:
        running.start(PATIENCE)
        yield running
    finally:
        running.stop()


def make(home: Path, s3: str) -> Running:
    """A cluster with a directory and ports of its own, and keys that are easily found where they must not be."""
    os.environ["PINFLOW_TEST_SECRET"] = SECRET
    secret = "${PINFLOW_TEST_SECRET}"
    profile = write_profile(
        home, "spark", aws__endpoint_url=s3, aws__secret_access_key=secret, databricks__token=secret
    )  # fmt: skip
    return Running("spark", profile)


def query(profile: Profile, *statements: str) -> list[list[object]]:
    """The rows of the last statement, as a notebook's own client gets them."""
    program = (
        "import json, sys\n"
        "from pyspark.sql import SparkSession\n"
        f"spark = SparkSession.builder.remote({profile.spark.remote!r}).getOrCreate()\n"
        "for statement in sys.argv[1:]:\n"
        "    rows = spark.sql(statement).collect()\n"
        "print(json.dumps([list(row) for row in rows]))"
    )
    done = subprocess.run(
        [python("spark"), "-c", program, *statements], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[list[object]] = json.loads(done.stdout)
    return rows


def ask(profile: Profile, call: str, **values: str) -> Any:
    """A call of the control endpoint, as dbutils makes it."""
    headers = {"Authorization": f"Bearer {SECRET}"}
    answer = requests.post(f"{native.control_url(profile)}/{call}", json=values, headers=headers, timeout=PATIENCE)
    assert answer.ok, answer.text
    return answer.json()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def processes(cluster: Running) -> list[psutil.Process]:
    """The host and, below it, the JVM; not the dead shell that Spark's start script leaves behind."""
    host = psutil.Process(cluster.pid)
    found = [process for process in (host, *host.children(recursive=True)) if runs(process)]
    assert any("java" in process.name() for process in found)
    return found


def jvm(cluster: Running) -> psutil.Process:
    return next(process for process in processes(cluster) if "java" in process.name())


def ends(process: psutil.Process, within: float) -> bool:
    """Whether it is gone after so many seconds; 0: now."""
    deadline = time.monotonic() + within
    while runs(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_every_socket_is_on_loopback(cluster: Running) -> None:
    sockets = [s for process in processes(cluster) for s in process.net_connections("inet") if s.status == "LISTEN"]
    assert {s.laddr.ip.removeprefix("::ffff:") for s in sockets} == {"127.0.0.1"}
    assert native.address(cluster.profile)[1] in {s.laddr.port for s in sockets}


def test_no_secret_is_in_a_process_list_or_a_log(cluster: Running) -> None:
    seen = [" ".join(process.cmdline()) for process in processes(cluster)]
    seen.append(cluster.log.read_text(encoding="utf-8"))
    assert not any(SECRET in text for text in seen)


def test_it_is_set_up_as_the_runtime_is(cluster: Running) -> None:
    settings = "select current_timezone(), current_catalog(), current_database()"
    assert query(cluster.profile, settings) == [["UTC", "spark_catalog", "default"]]
    assert query(cluster.profile, "select int('x')") == [[None]], "ANSI is off"


def test_the_warm_up_leaves_no_table(cluster: Running) -> None:
    assert ["default", "warm_up", False] not in query(cluster.profile, "show tables")
    assert not (native.warehouse(cluster.profile) / "warm_up").exists()


def test_a_table_is_delta_and_lies_in_the_warehouse(cluster: Running) -> None:
    """Also one whose name looks like a number, as a user's id may."""
    query(cluster.profile, "create or replace table `0e1234567890_x` as select 7 as ind")
    assert (native.warehouse(cluster.profile) / "0e1234567890_x" / "_delta_log").is_dir()


def test_nothing_is_kept_outside_its_directory(cluster: Running) -> None:
    assert not [name for name in ("derby.log", "metastore_db", "spark-warehouse") if (ROOT / name).exists()]
    assert jvm(cluster).cwd() == str(native.home(cluster.profile))


@pytest.mark.skipif(sys.platform != "linux", reason="which files a JVM has mapped is told on Linux only")
def test_what_the_jvm_unpacks_and_writes_for_itself_is_in_its_directory(cluster: Running) -> None:
    """A killed JVM deletes none of it: the system's temporary directory would keep it for ever."""
    query(cluster.profile, "create or replace table written as select 1 as one")  # for this it unpacks Snappy
    java, own = jvm(cluster), (cluster.profile.home, cluster.log, ROOT)  # a checkout may be in the temporary directory
    mapped: list[Any] = java.memory_maps()
    used = [Path(file.path) for file in (*mapped, *java.open_files())]
    temporary = [path for path in used if path.is_relative_to(tempfile.gettempdir())]
    assert [path for path in temporary if not any(path.is_relative_to(place) for place in own)] == []
    assert [path for path in temporary if path.is_relative_to(native.home(cluster.profile) / "tmp")]


@pytest.mark.long
def test_after_sigkill_the_jvm_ends_and_tables_and_mounts_come_back(cluster: Running, s3: S3) -> None:
    query(cluster.profile, "create or replace table kept as select 42 as answer")
    mount = {"source": f"s3n://AKIAMOUNTED:{quote(MOUNTED, safe='')}@some-bucket/a", "mount_point": "/mnt/kept"}
    ask(cluster.profile, "mounts/mount", **mount)
    java, scratch = jvm(cluster), native.home(cluster.profile) / "tmp"
    (scratch / "left-behind").mkdir()
    cluster.kill()
    # As the supervisor does it: at once, while the old JVM may still hold the port and the metastore.
    cluster.start(PATIENCE)
    assert ends(java, within=0)
    assert not (scratch / "left-behind").exists()
    assert query(cluster.profile, "select answer from kept") == [[42]]
    mounts = {entry["mountPoint"]: entry["source"] for entry in ask(cluster.profile, "mounts/list")}
    assert mounts == {"/mnt/kept": "s3n://some-bucket/a", "/": "DatabricksRoot"}
    s3.keys.clear()
    ask(cluster.profile, "fs/ls", path="/mnt/kept")
    assert s3.keys == {"AKIAMOUNTED"}
    assert MOUNTED not in cluster.log.read_text(encoding="utf-8")


def test_nobody_is_let_in_before_the_mounts_are_back(tmp_path: Path, s3: S3) -> None:
    """A notebook that waits for the driver would be given a dbfs:/ without them, and so would all after it."""
    other = make(tmp_path, s3.url)
    ports, home = native.address(other.profile), native.home(other.profile)
    home.mkdir(parents=True)
    os.mkfifo(home / "mounts.json")
    other.launch()
    try:
        pipe = wait_for("the mounts to be read", lambda: reader(home / "mounts.json"), timeout=PATIENCE)
        assert not listens(ports[1]) and not listens(ports[1] + 1)
        with os.fdopen(pipe, "w") as file:
            file.write("[]")
        wait_for("a driver that listens", lambda: listens(ports[1] + 1), timeout=PATIENCE)
        assert listens(ports[1])
    finally:
        other.stop()


def reader(pipe: Path) -> int | None:
    """A descriptor to write to whoever reads the pipe; None while nobody does."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


@pytest.mark.long
def test_when_the_jvm_dies_the_host_of_a_second_cluster_ends_too(cluster: Running, tmp_path: Path, s3: S3) -> None:
    """The supervisor sees the host only. The second has nothing of the first, so they run side by side."""
    other = make(tmp_path, s3.url)
    other.launch()
    try:
        wait_for("a driver that listens", lambda: listens(native.address(other.profile)[1]), timeout=PATIENCE)
        host = psutil.Process(other.pid)
        jvm(other).kill()
        assert ends(host, within=30)
    finally:
        other.stop()
    assert query(cluster.profile, "select 1") == [[1]]


def test_sigterm_ends_the_jvm_with_its_host(cluster: Running) -> None:
    java, began = jvm(cluster), time.monotonic()
    cluster.stop()
    assert ends(java, within=5)
    assert time.monotonic() - began < 30
    assert not (native.home(cluster.profile) / "ready").exists()
