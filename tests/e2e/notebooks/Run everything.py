# Databricks notebook source
dbutils.widgets.text("greeting", "nobody", "Who is greeted")
dbutils.widgets.dropdown("again", "no", ["yes", "no"])
print(dbutils.widgets.get("greeting"), getArgument("again"))

# COMMAND ----------

dbutils.notebook.run("./Mount the bucket", 120)
people = dbutils.notebook.run("./Clean places and users", 300)

# COMMAND ----------

import json

try:
    dbutils.notebook.run("/Users/nobody/Not there", 60)
except Exception as e:
    print("as expected:", "NotebookNotFound" in str(e))
answers = json.loads(dbutils.notebook.run("./Questions", timeout_seconds=300, arguments={"unused": 1}))
dbutils.notebook.exit(json.dumps({"people": int(people), **answers}))
