# Databricks notebook source
# MAGIC %md
# MAGIC # Where the streams are
# MAGIC Options of Databricks' Kinesis source that all streams have in common: the region, and the keys from the
# MAGIC Delta table `authentication_credentials`.

# COMMAND ----------

# MAGIC %run ./parameters

# COMMAND ----------

dbutils.widgets.text("region", "us-east-1", "Region of the streams")

credentials = spark.read.format("delta").load("dbfs:/user/hive/warehouse/authentication_credentials").first()
connection = {
    "region": dbutils.widgets.get("region"),
    "awsAccessKey": credentials["Access key ID"],
    "awsSecretKey": credentials["Secret access key"],
}
