# Databricks notebook source
# MAGIC %md
# MAGIC # Load and clean one table
# MAGIC The sink connector writes the topic `<uid>.<table>` to `topics/<uid>.<table>/partition=<n>/` in the bucket, one
# MAGIC JSON record a line. `table` says which one. A job gives it as a notebook parameter; here you choose it on top.

# COMMAND ----------

# MAGIC %run ./mount

# COMMAND ----------

from pinterest.registry import TABLES

dbutils.widgets.dropdown("table", next(iter(TABLES)), list(TABLES), "Table")
table = dbutils.widgets.get("table")
if table not in TABLES:
    raise ValueError(f"table: expected one of {', '.join(TABLES)}, found {table!r}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Clean
# MAGIC In every table the texts that stand where the source has no value become null, times become timestamps (UTC),
# MAGIC and one row per `ind` stays: the emulator posts some rows more than once. In addition:
# MAGIC
# MAGIC - `pin`: `index` becomes `ind`; `follower_count` (`437`, `12k`, `5M`) becomes a number; `save_location` keeps
# MAGIC   only the path.
# MAGIC - `geo`: `latitude` and `longitude` become one array, `coordinates`.
# MAGIC - `user`: `first_name` and `last_name` become `user_name`.
# MAGIC
# MAGIC Records that do not fit the table go to `<uid>_quarantine` with their place and the reason; the rest is loaded.

# COMMAND ----------

from pinterest.batch import load

loaded = load(spark, uid, table, SOURCE)
print(f"{loaded.rows:,} rows in {uid}_{table}, {loaded.quarantined:,} records in quarantine")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Look at it

# COMMAND ----------

display(spark.table(f"`{uid}_{table}`").limit(20))

# COMMAND ----------

if loaded.quarantined:
    display(spark.table(f"`{uid}_quarantine`").where(f"table = '{table}'").limit(20))
