# Databricks notebook source
# MAGIC %md
# MAGIC # Everything, one after the other
# MAGIC Mount the bucket, load and clean every table, ask the questions: the whole batch path in one notebook. As a job,
# MAGIC `load` runs once for each table instead, side by side.

# COMMAND ----------

# MAGIC %run ./mount

# COMMAND ----------

from pinterest.batch import load
from pinterest.registry import TABLES

for table in TABLES:
    loaded = load(spark, uid, table, SOURCE)
    print(f"{loaded.rows:,} rows in {uid}_{table}, {loaded.quarantined:,} records in quarantine")
    display(spark.table(f"`{uid}_{table}`").limit(20))

# COMMAND ----------

# MAGIC %run ./questions
