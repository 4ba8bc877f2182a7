"""The cluster as the stack runs it: what it listens on and keeps, and how it ends and comes back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from pinflow.packages import python
from pinflow.profile import ROOT, Profile, load
from services.spark import native
from tests.contract.kafka.running import Running

SECRET = "a-secret-of-the-test"
PATIENCE = 180.0
"""Seconds: a start takes 25 on an idle machine."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A cluster for all tests of this file; a test that ends it starts it again."""
    running = make(tmp_path_factory.mktemp("cluster"))
    try:
        running.start(PATIENCE)
        yield running
    finally:
        running.stop()


def make(home: Path) -> Running:
    """A cluster with a directory and ports of its own, and keys that are easily found where they must not be."""
    document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    document["spark"]["remote"] = f"sc://127.0.0.1:{free_pair()}"
    document["aws"]["secret_access_key"] = "${PINFLOW_TEST_SECRET}"
    document["databricks"]["token"] = "${PINFLOW_TEST_SECRET}"
    document["stack"] |= {"directory": str(home / "state"), "services": ["spark"]}
    path = home / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    os.environ["PINFLOW_TEST_SECRET"] = SECRET
    return Running("spark", load(str(path)), home / "spark.log")


def free_pair() -> int:
    """The first of two ports in a row that nobody listens on: Spark Connect's and the control endpoint's."""
    for first in range(25000, 25100, 2):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", first))
                other.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports from 25000 to 25099")


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


def processes(cluster: Running) -> list[psutil.Process]:
    """The host and, below it, the JVM."""
    host = psutil.Process(cluster.pid)
    found = [host, *host.children(recursive=True)]
    assert any("java" in process.name() for process in found)
    return found


def jvm(cluster: Running) -> psutil.Process:
    return next(process for process in processes(cluster) if "java" in process.name())


def ends(process: psutil.Process, within: float) -> bool:
    try:
        process.wait(within)
    except psutil.TimeoutExpired:
        return False
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


def test_after_sigkill_the_jvm_ends_and_the_tables_come_back(cluster: Running) -> None:
    query(cluster.profile, "create or replace table kept as select 42 as answer")
    java, scratch = jvm(cluster), native.home(cluster.profile) / "tmp"
    (scratch / "left-behind").mkdir()
    cluster.kill()
    # As the supervisor does it: at once, while the old JVM may still hold the port and the metastore.
    cluster.start(PATIENCE)
    assert ends(java, within=0)
    assert not (scratch / "left-behind").exists()
    assert query(cluster.profile, "select answer from kept") == [[42]]


def test_when_the_jvm_dies_the_host_ends_too(cluster: Running) -> None:
    """The supervisor sees the host only."""
    host = psutil.Process(cluster.pid)
    jvm(cluster).kill()
    assert ends(host, within=30)
    cluster.start(PATIENCE)


def test_two_run_side_by_side(cluster: Running, tmp_path: Path) -> None:
    other = make(tmp_path)
    try:
        other.start(PATIENCE)
        query(other.profile, "create table only_there as select 1 as one")
        assert "only_there" not in {row[1] for row in query(cluster.profile, "show tables")}
    finally:
        java = jvm(other)
        began = time.monotonic()
        other.stop()
    assert ends(java, within=5), "SIGTERM ends the JVM with its host"
    assert time.monotonic() - began < 30
