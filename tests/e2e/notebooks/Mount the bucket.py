# Databricks notebook source
dbutils.fs.ls("/FileStore/tables")

# COMMAND ----------

# pyspark functions
from pyspark.sql.functions import *
# URL processing
import urllib

file_type = "csv"
first_row_is_header = "true"
delimiter = ","
aws_keys_df = spark.read.format(file_type)\
.option("header", first_row_is_header)\
.option("sep", delimiter)\
.load("/FileStore/tables/authentication_credentials.csv")

# COMMAND ----------

ACCESS_KEY = aws_keys_df.where(col('User name')=='databricks-user').select('Access key ID').collect()[0]['Access key ID']
SECRET_KEY = aws_keys_df.where(col('User name')=='databricks-user').select('Secret access key').collect()[0]['Secret access key']
ENCODED_SECRET_KEY = urllib.parse.quote(string=SECRET_KEY, safe="")

# COMMAND ----------

AWS_S3_BUCKET = "user-0a1b2c3d4e5f-bucket"
MOUNT_NAME = "/mnt/pinterest-data"
SOURCE_URL = "s3n://{0}:{1}@{2}".format(ACCESS_KEY, ENCODED_SECRET_KEY, AWS_S3_BUCKET)
mount_points = map(lambda mount: mount[0], dbutils.fs.mounts())
if MOUNT_NAME in list(mount_points):
    dbutils.fs.unmount(MOUNT_NAME)
dbutils.fs.mount(SOURCE_URL, MOUNT_NAME)

# COMMAND ----------

display(dbutils.fs.ls("/mnt/pinterest-data/../.."))

# COMMAND ----------

# MAGIC %fs ls /mnt/pinterest-data/topics

# COMMAND ----------

try:
    dbutils.fs.mount(source=SOURCE_URL, mount_point=MOUNT_NAME)
except Exception as e:
    if "Directory already mounted" in str(e):
        print("already mounted")
    else:
        raise e
