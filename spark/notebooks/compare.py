# Databricks notebook source
# MAGIC %md
# MAGIC # Do both layers agree?
# MAGIC The batch and the streams had the same posts: of each post that both have seen, the cleaned rows must be
# MAGIC equal.

# COMMAND ----------

# MAGIC %run ./parameters

# COMMAND ----------

import json
from dataclasses import asdict

import pandas as pd

from pinterest.stream import compare

found = {name: asdict(comparison) for name, comparison in compare(spark, uid).items()}
display(pd.DataFrame.from_dict(found, orient="index").rename_axis("table").reset_index())

# COMMAND ----------

dbutils.notebook.exit(json.dumps(found))
