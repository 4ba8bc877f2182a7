# Databricks notebook source
# MAGIC %md
# MAGIC # Ask the questions
# MAGIC A post is a row of the inner join of the cleaned tables on `ind`; a user is a poster's name. All ties are kept.
# MAGIC Each answer is also a Delta table, `<uid>_q1` and so on.

# COMMAND ----------

# MAGIC %run ./parameters

# COMMAND ----------

import pandas as pd

from pinterest.batch import answer
from pinterest.registry import QUESTIONS, TABLES

answers = answer(spark, uid)

# COMMAND ----------

for name, question in QUESTIONS.items():
    print(f"{name}: {question.title}")
    display(pd.DataFrame(answers[name].rows, columns=answers[name].columns))

# COMMAND ----------

# MAGIC %md
# MAGIC The answers also go to whoever started this notebook as a job.

# COMMAND ----------

import json
from dataclasses import asdict

rows = {name: spark.table(f"`{uid}_{name}`").count() for name in (*TABLES, "quarantine")}
dbutils.notebook.exit(json.dumps({"rows": rows, "answers": {name: asdict(found) for name, found in answers.items()}}))
