# Databricks notebook source
# MAGIC %md
# MAGIC ## The keys, and how everything is read

# COMMAND ----------

from pyspark.sql.functions import *
import urllib

delta_table_path = "dbfs:/user/hive/warehouse/authentication_credentials"
aws_keys_df = spark.read.format("delta").load(delta_table_path)

# COMMAND ----------

ACCESS_KEY = aws_keys_df.select('Access key ID').collect()[0]['Access key ID']
SECRET_KEY = aws_keys_df.select('Secret access key').collect()[0]['Secret access key']
ENCODED_SECRET_KEY = urllib.parse.quote(string=SECRET_KEY, safe="")
AWS_S3_BUCKET = "user-0a1b2c3d4e5f-bucket"
MOUNT_NAME = "/mnt/pinterest-data"

# COMMAND ----------

# MAGIC %sql
# MAGIC -- The older runtimes checked the format of every path
# MAGIC SET spark.databricks.delta.formatCheck.enabled=false

# COMMAND ----------

def read_from_s3(topic, mounted=True):
    '''One data frame of all the objects of a topic'''
    root = MOUNT_NAME if mounted else f"s3a://{AWS_S3_BUCKET}"
    file_type = "json"
    infer_schema = "true"
    return spark.read.format(file_type) \
    .option("inferSchema", infer_schema) \
    .load(f"{root}/topics/0a1b2c3d4e5f.{topic}/partition=0/*.json")
