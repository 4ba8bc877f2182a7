# Databricks notebook source
# MAGIC %md
# MAGIC # Parameters
# MAGIC What every notebook of this folder begins with. `uid` is your 12-digit user id: it names the topics, the
# MAGIC bucket and the tables. `bucket` is where the sink connector writes.
# MAGIC
# MAGIC A job gives them as notebook parameters; here you type them into the fields on top.

# COMMAND ----------

import re

dbutils.widgets.text("uid", "0a1b2c3d4e5f", "User id")
dbutils.widgets.text("bucket", "", "Bucket (empty: user-<uid>-bucket)")

uid = dbutils.widgets.get("uid").strip()
if not re.fullmatch("[0-9a-f]{12}", uid):
    raise ValueError(f"uid: expected 12 hexadecimal digits, found {uid!r}")
bucket = dbutils.widgets.get("bucket").strip() or f"user-{uid}-bucket"

# COMMAND ----------

# MAGIC %md
# MAGIC The package `pinterest` lies beside this folder. It does the work; the notebooks say what happens, and show
# MAGIC it.

# COMMAND ----------

import os
import sys

package_folder = os.path.abspath("..")
if package_folder not in sys.path:
    sys.path.append(package_folder)
