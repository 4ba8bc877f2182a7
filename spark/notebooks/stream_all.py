# Databricks notebook source
# MAGIC %md
# MAGIC # All three streams
# MAGIC The three queries of `stream_pin`, `stream_geo` and `stream_user` in one notebook: `make stream` keeps it
# MAGIC running.

# COMMAND ----------

# MAGIC %run ./stream_source

# COMMAND ----------

from pathlib import Path

from pinterest.stream import follow, start_all

queries = start_all(spark, uid, connection)

# COMMAND ----------

follow(queries, Path(f"/dbfs/FileStore/streams/{uid}.json"))
