# Databricks notebook source
# MAGIC %md
# MAGIC # Load and clean the places
# MAGIC The sink connector writes the topic `<uid>.geo` to `topics/<uid>.geo/partition=<n>/` in the bucket, one JSON
# MAGIC record a line.

# COMMAND ----------

# MAGIC %run ./mount

# COMMAND ----------

# MAGIC %md
# MAGIC ## Clean
# MAGIC `latitude` and `longitude` become one array, `coordinates`; `timestamp` becomes a time (UTC). One row per
# MAGIC `ind` stays: the emulator posts some rows more than once. What does not fit the table goes to
# MAGIC `<uid>_quarantine` with its place and the reason; the rest goes on.

# COMMAND ----------

from pinterest.batch import load

loaded = load(spark, uid, "geo", SOURCE)
print(f"{loaded.rows:,} rows in {uid}_geo, {loaded.quarantined:,} records in quarantine")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Look at it

# COMMAND ----------

display(spark.table(f"`{uid}_geo`").limit(20))

# COMMAND ----------

if loaded.quarantined:
    display(spark.table(f"`{uid}_quarantine`").where("table = 'geo'").limit(20))
