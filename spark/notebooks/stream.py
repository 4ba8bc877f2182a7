# Databricks notebook source
# MAGIC %md
# MAGIC # The stream of one table
# MAGIC Reads `streaming-<uid>-<table>` from its beginning, cleans the records with the code of the batch notebooks, and
# MAGIC appends them to `<uid>_<table>_table`: one row for each record. Records that do not fit go to
# MAGIC `<uid>_stream_quarantine`. The checkpoint keeps the position: started again, the notebook continues there.

# COMMAND ----------

# MAGIC %run ./stream_source

# COMMAND ----------

from pathlib import Path

from pinterest.registry import TABLES
from pinterest.stream import follow, start

dbutils.widgets.dropdown("table", next(iter(TABLES)), list(TABLES), "Table")
table = dbutils.widgets.get("table")
if table not in TABLES:
    raise ValueError(f"table: expected one of {', '.join(TABLES)}, found {table!r}")
query = start(spark, uid, table, connection)

# COMMAND ----------

# MAGIC %md
# MAGIC The last cell runs for as long as the stream does, and fails when it fails.

# COMMAND ----------

follow([query], Path(f"/dbfs/FileStore/streams/{uid}_{table}.json"))
