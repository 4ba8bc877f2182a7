"""A Spark Connect server with Delta, for tests: `python server.py <home> <port>`; it then writes the file `ready`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession


def main(home: str, port: str) -> None:
    os.chdir(home)
    settings = {
        "spark.master": "local[2]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -Duser.timezone=UTC",
        "spark.ui.enabled": "false",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.sources.default": "delta",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.warehouse.dir": f"{home}/warehouse",
    }
    spark = SparkSession(SparkContext(conf=SparkConf().setAll(list(settings.items()))))
    spark.sql("select 1").collect()
    Path(home, "ready").touch()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:3])
