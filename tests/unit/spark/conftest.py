"""One Spark Connect server for all tests of spark/, set up like the cluster; each test module has a session of its own.

These need PySpark and Delta: `.pinflow/envs/spark/bin/python -m pytest tests/unit/spark` runs them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import jvm
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[3]
ZONE = "America/New_York"
"""The sessions' time zone at the start: the product must not depend on it."""

collect_ignore_glob = [] if importlib.util.find_spec("pyspark") else ["test_*.py"]
sys.path.insert(0, str(ROOT / "spark"))


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Connect server with the cluster's settings, on loopback, its tables in a temporary directory.

    `SparkSession.builder.remote("local[2]")` would start one too, but looks for it on port 15002 only: the user's own.
    """
    from pyspark import SparkConf, SparkContext

    home = tmp_path_factory.mktemp("spark")
    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT / "services" / "spark" / "workers"),
        "SPARK_CONF_DIR": str(ROOT / "services" / "spark"),
        "SPARK_DIST_CLASSPATH": str(ROOT / ".pinflow" / "jars" / "spark" / "*"),
        "SPARK_DRIVER_MEMORY": "1g",
        "SPARK_LOCAL_DIRS": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": f"{jvm.OPTIONS} -Djava.io.tmpdir={home}",
    }
    port = free_port()
    settings = {
        "spark.master": "local[2]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.hadoop.fs.defaultFS": "file:///",
        # A Hive metastore takes half a minute to be made; the end-to-end tests have one.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(home / "warehouse"),
        "spark.sql.session.timeZone": ZONE,
        "spark.sql.shuffle.partitions": "2",
    }
    context = SparkContext(conf=SparkConf().setAll(list(settings.items())))
    yield f"sc://127.0.0.1:{port}"
    context.stop()


@pytest.fixture(scope="module")
def spark(remote: str) -> Iterator[Any]:
    """A session, fresh for the module: what one module sets no other sees."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(remote).create()
    yield session
    session.stop()
