"""One Spark driver for many batch loads, told what to do by a JSON document a line.

Runs in the spark environment: ``python loads.py WAREHOUSE``.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).parents[3]


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    warehouse = Path(sys.argv[1])
    os.environ |= {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_CONF_DIR": str(ROOT / "services" / "spark"),
        "SPARK_DIST_CLASSPATH": str(ROOT / ".pinflow" / "jars" / "spark" / "*"),
        "SPARK_LOCAL_DIRS": str(warehouse.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": f"{os.environ['SPARK_SUBMIT_OPTS']} -Djava.io.tmpdir={warehouse.parent}",
    }
    sys.path.insert(0, str(ROOT / "spark"))
    from pyspark.sql import SparkSession

    from pinterest.batch import load

    settings = {
        "spark.plugins": "",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.hadoop.fs.defaultFS": "file:///",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(warehouse),
        "spark.sql.shuffle.partitions": "2",
    }
    spark = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        uid, name, source = json.loads(line)
        try:
            answer = asdict(load(spark, uid, name, source))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
