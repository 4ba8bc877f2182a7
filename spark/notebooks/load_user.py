# Databricks notebook source
# MAGIC %md
# MAGIC # Load and clean the people
# MAGIC The sink connector writes the topic `<uid>.user` to `topics/<uid>.user/partition=<n>/` in the bucket, one
# MAGIC JSON record a line.

# COMMAND ----------

# MAGIC %run ./mount

# COMMAND ----------

# MAGIC %md
# MAGIC ## Clean
# MAGIC `first_name` and `last_name` become `user_name`; `date_joined` becomes a time (UTC). One row per `ind`
# MAGIC stays: the emulator posts some rows more than once. What does not fit the table goes to `<uid>_quarantine`
# MAGIC with its place and the reason; the rest goes on.

# COMMAND ----------

from pinterest.batch import load

loaded = load(spark, uid, "user", SOURCE)
print(f"{loaded.rows:,} rows in {uid}_user, {loaded.quarantined:,} records in quarantine")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Look at it

# COMMAND ----------

display(spark.table(f"`{uid}_user`").limit(20))

# COMMAND ----------

if loaded.quarantined:
    display(spark.table(f"`{uid}_quarantine`").where("table = 'user'").limit(20))
