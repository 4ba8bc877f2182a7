# Databricks notebook source
# MAGIC %md
# MAGIC # The stream of posts
# MAGIC Reads `streaming-<uid>-pin` from its beginning, cleans the records with the code of the batch notebooks, and
# MAGIC appends them to `<uid>_pin_table`: one row for each record. What does not fit goes to
# MAGIC `<uid>_stream_quarantine`. The checkpoint remembers how far it came; the notebook goes on there when it is
# MAGIC started again.

# COMMAND ----------

# MAGIC %run ./stream_source

# COMMAND ----------

from pathlib import Path

from pinterest.stream import follow, start

query = start(spark, uid, "pin", connection)

# COMMAND ----------

# MAGIC %md
# MAGIC The last cell runs for as long as the stream does, and fails when it fails.

# COMMAND ----------

follow([query], Path(f"/dbfs/FileStore/streams/{uid}_pin.json"))
