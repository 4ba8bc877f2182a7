"""What the common notebook does: a glob over one object a record, an inferred schema, and a look at each table."""

import sys

from pyspark.sql import SparkSession

remote, prefix = sys.argv[1:]
spark = SparkSession.builder.remote(remote).getOrCreate()
for kind in ("pin", "geo", "user"):
    frame = spark.read.format("json").option("inferSchema", "true").load(f"{prefix}.{kind}/partition=0/*.json")
    print(kind, frame.count())
