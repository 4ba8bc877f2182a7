# Databricks notebook source
# MAGIC %md
# MAGIC # The ten questions, live
# MAGIC The same questions as in `questions`, put to what the streams have brought so far. The tables of the streams
# MAGIC have a row for each record; the views `<uid>_<table>_distinct` have one for each post.

# COMMAND ----------

# MAGIC %run ./parameters

# COMMAND ----------

from pinterest.frames import persisted
from pinterest.questions import ask, join
from pinterest.registry import TABLES

with persisted(join({name: spark.table(f"`{uid}_{name}_distinct`") for name in TABLES})) as posts:
    print(f"{posts.count():,} posts")
    # Taken to this notebook while the posts are kept: the streams go on, and all ten answers are of the same posts.
    answers = {name: answer.toPandas() for name, answer in ask(posts).items()}

# COMMAND ----------

# MAGIC %md
# MAGIC ## q1: The most popular category in each country

# COMMAND ----------

display(answers["q1"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q2: Posts per category per year, 2018 to 2022

# COMMAND ----------

display(answers["q2"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q2b: The most popular category of each of those years

# COMMAND ----------

display(answers["q2b"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q3a: The user with the most followers in each country

# COMMAND ----------

display(answers["q3a"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q3b: The country with the user with the most followers

# COMMAND ----------

display(answers["q3b"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q4: The most popular category per age group

# COMMAND ----------

display(answers["q4"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q5: The median follower count per age group

# COMMAND ----------

display(answers["q5"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q6: How many users joined in each year, 2015 to 2020

# COMMAND ----------

display(answers["q6"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q7: The median follower count by the year users joined

# COMMAND ----------

display(answers["q7"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## q8: The same by age group

# COMMAND ----------

display(answers["q8"])
