# Databricks notebook source
# MAGIC %md
# MAGIC # Everything, one after the other
# MAGIC Mount the bucket, load and clean the three tables, ask the questions: the whole batch path in one notebook.
# MAGIC As a job, `load_pin`, `load_geo` and `load_user` run side by side instead.

# COMMAND ----------

# MAGIC %run ./load_pin

# COMMAND ----------

# MAGIC %run ./load_geo

# COMMAND ----------

# MAGIC %run ./load_user

# COMMAND ----------

# MAGIC %run ./questions
