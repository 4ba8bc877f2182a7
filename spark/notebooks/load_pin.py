# Databricks notebook source
# MAGIC %md
# MAGIC # Load and clean the posts
# MAGIC The sink connector writes the topic `<uid>.pin` to `topics/<uid>.pin/partition=<n>/` in the bucket, one JSON
# MAGIC record a line.

# COMMAND ----------

# MAGIC %run ./mount

# COMMAND ----------

# MAGIC %md
# MAGIC ## Clean
# MAGIC `index` becomes `ind`; the words that stand where the source has nothing become null; `follower_count`
# MAGIC (`437`, `12k`, `5M`) becomes a number; `save_location` keeps only the path. One row per `ind` stays: the
# MAGIC emulator posts some rows more than once. What does not fit the table goes to `<uid>_quarantine` with its
# MAGIC place and the reason; the rest goes on.

# COMMAND ----------

from pinterest.batch import load

loaded = load(spark, uid, "pin", SOURCE)
print(f"{loaded.rows:,} rows in {uid}_pin, {loaded.quarantined:,} records in quarantine")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Look at it

# COMMAND ----------

display(spark.table(f"`{uid}_pin`").limit(20))

# COMMAND ----------

if loaded.quarantined:
    display(spark.table(f"`{uid}_quarantine`").where("table = 'pin'").limit(20))
