# Databricks notebook source
# MAGIC %md
# MAGIC # Ask the ten questions
# MAGIC A post is a row of the inner join of the three cleaned tables on `ind`; a user is a poster's name. Ties are
# MAGIC kept, all of them. Each answer is also a Delta table, `<uid>_q1` to `<uid>_q8`.

# COMMAND ----------

# MAGIC %run ./parameters

# COMMAND ----------

import pandas as pd

from pinterest.batch import answer

answers = answer(spark, uid)


def show(question):
    """The answer's rows, in their order."""
    display(pd.DataFrame(answers[question].rows, columns=answers[question].columns))


# COMMAND ----------

# MAGIC %md
# MAGIC ## q1: The most popular category in each country

# COMMAND ----------

show("q1")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q2: Posts per category per year, 2018 to 2022

# COMMAND ----------

show("q2")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q2b: The most popular category of each of those years

# COMMAND ----------

show("q2b")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q3a: The user with the most followers in each country

# COMMAND ----------

show("q3a")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q3b: The country with the user with the most followers

# COMMAND ----------

show("q3b")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q4: The most popular category per age group

# COMMAND ----------

show("q4")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q5: The median follower count per age group

# COMMAND ----------

show("q5")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q6: How many users joined in each year, 2015 to 2020

# COMMAND ----------

show("q6")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q7: The median follower count by the year users joined

# COMMAND ----------

show("q7")

# COMMAND ----------

# MAGIC %md
# MAGIC ## q8: The same by age group

# COMMAND ----------

show("q8")

# COMMAND ----------

# MAGIC %md
# MAGIC The answers also go to whoever started this notebook as a job.

# COMMAND ----------

import json
from dataclasses import asdict

rows = {name: spark.table(f"`{uid}_{name}`").count() for name in ("pin", "geo", "user", "quarantine")}
dbutils.notebook.exit(json.dumps({"rows": rows, "answers": {name: asdict(found) for name, found in answers.items()}}))
