# Databricks notebook source
# MAGIC %md
# MAGIC # The questions, live
# MAGIC The same questions as in `questions`, asked of what the streams have brought so far. The tables of the streams
# MAGIC have a row for each record; the views `<uid>_<table>_distinct` have one for each post.

# COMMAND ----------

# MAGIC %run ./parameters

# COMMAND ----------

from pinterest.frames import persisted
from pinterest.questions import ask, join
from pinterest.registry import QUESTIONS, TABLES

with persisted(join({name: spark.table(f"`{uid}_{name}_distinct`") for name in TABLES})) as posts:
    print(f"{posts.count():,} posts")
    # Collected while the posts are kept: the streams go on, and all answers are to be about the same posts.
    answers = {name: answer.toPandas() for name, answer in ask(posts).items()}

# COMMAND ----------

for name, question in QUESTIONS.items():
    print(f"{name}: {question.title}")
    display(answers[name])
