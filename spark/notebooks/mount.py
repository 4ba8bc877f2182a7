# Databricks notebook source
# MAGIC %md
# MAGIC # Mount the bucket
# MAGIC A mount makes `s3a://<bucket>/` a folder, `/mnt/<bucket>`, for everybody on the cluster. The keys are in the
# MAGIC Delta table `authentication_credentials`, which comes from the CSV file that AWS gives for an access key. A
# MAGIC mount lasts, so usually there is nothing to do.

# COMMAND ----------

# MAGIC %run ./parameters

# COMMAND ----------

from urllib.parse import quote

MOUNT = f"/mnt/{bucket}"
SOURCE = f"{MOUNT}/topics"


def is_mounted():
    return any(mount.mountPoint == MOUNT for mount in dbutils.fs.mounts())


def mount_bucket():
    credentials = spark.read.format("delta").load("dbfs:/user/hive/warehouse/authentication_credentials").first()
    # A secret may hold a slash, which has a meaning in a URL.
    secret = quote(credentials["Secret access key"], safe="")
    try:
        dbutils.fs.mount(f"s3n://{credentials['Access key ID']}:{secret}@{bucket}", MOUNT)
    except Exception:
        # Notebooks that run side by side all come here the first time, and one of them is first.
        if not is_mounted():
            raise


if not is_mounted():
    mount_bucket()
print(f"{MOUNT} is mounted")
