"""Canaries that need PySpark and Delta: `.pinflow/envs/spark/bin/python -m pytest tests/canaries/spark` runs them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import jvm

ROOT = Path(__file__).parents[3]

collect_ignore_glob = [] if importlib.util.find_spec("pyspark") else ["test_*.py"]
sys.path.insert(0, str(ROOT / "services" / "spark" / "kinesis"))


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A JVM with the cluster's jars, without Spark started in it."""
    from pyspark.java_gateway import launch_gateway

    home = tmp_path_factory.mktemp("jvm")
    os.environ |= {
        "SPARK_CONF_DIR": str(home),
        "SPARK_DIST_CLASSPATH": str(ROOT / ".pinflow" / "jars" / "spark" / "*"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": f"{jvm.OPTIONS} -Djava.io.tmpdir={home}",
    }
    started = launch_gateway(popen_kwargs={"start_new_session": True})
    yield started
    started.proc.stdin.close()
    started.proc.wait(60)
