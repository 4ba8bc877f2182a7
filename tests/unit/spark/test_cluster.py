"""How the driver's JVM is started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from services.spark.cluster import Cluster

FOLDERS = ["my projects/pin flow é", "100% %41", 'it\'s "here"', "back\\slash $HOME `id`", "a #1 ;b"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_jvm_gets_each_directory_whole_whatever_is_in_its_path(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Spark's own launcher, which makes the command line."""
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", "-Dof.the=user")
    cluster = Cluster(tmp_path / folder / "spark", "127.0.0.1", 1, "us-east-1", "", (), "")
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    assert java
    spark = Path(pyspark.__file__).parent
    main = ["org.apache.spark.launcher.Main", "org.apache.spark.deploy.SparkSubmit", "pyspark-shell"]
    done = subprocess.run(
        [java, "-XX:TieredStopAtLevel=1", "-cp", str(spark / "jars" / "*"), *main],
        env={
            **os.environ,
            "LC_ALL": "C.UTF-8",
            "SPARK_HOME": str(spark),
            "SPARK_SCALA_VERSION": "2.13",
            "SPARK_SUBMIT_OPTS": cluster.jvm_options,
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    options = [word for word in done.stdout.split("\0") if word.startswith(("-Djava.io", "-Dderby.system"))]
    assert options == [f"-Djava.io.tmpdir={cluster.home}/tmp", f"-Dderby.system.home={cluster.home}"]


def test_starts_without_what_only_clients_need() -> None:
    """Half a start of this process went into the import of pandas, which only Delta's messages bring with them."""
    program = "import sys, services.spark.cluster; print({'pandas', 'grpc', 'IPython'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
