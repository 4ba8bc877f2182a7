# Databricks notebook source
# MAGIC %md
# MAGIC # All streams
# MAGIC The queries of `stream` for every table in one notebook: `make stream` keeps it running.

# COMMAND ----------

# MAGIC %run ./stream_source

# COMMAND ----------

from pathlib import Path

from pinterest.stream import follow, start_all

queries = start_all(spark, uid, connection)

# COMMAND ----------

follow(queries, Path(f"/dbfs/FileStore/streams/{uid}.json"))
