# Databricks notebook source
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from typing import Dict, List
import urllib.parse


class S3Loader:
    """Reads the topics of a bucket, by a mount or without one."""

    def __init__(self, credentials_path: str, iam_username: str, topics: List[str]):
        self.spark: SparkSession = SparkSession.builder.appName("S3Loader").getOrCreate()
        self.topics: List[str] = topics
        self.iam_username: str = iam_username
        self.mount_name: str = f"/mnt/loader-{iam_username}"
        keys = self.spark.read.format("delta").load(credentials_path).select("Access key ID", "Secret access key")
        access_key, secret_key = keys.first() if keys.count() > 0 else (None, None)
        self.source_url: str = f"s3n://{access_key}:{urllib.parse.quote(secret_key, safe='')}@user-{iam_username}-bucket"

    def __is_mounted(self) -> bool:
        return any(mount.mountPoint == self.mount_name for mount in dbutils.fs.mounts())

    def mount(self) -> None:
        if not self.__is_mounted():
            dbutils.fs.mount(self.source_url, self.mount_name)
            print(f"Mounted {self.mount_name}")

    def unmount(self) -> None:
        dbutils.fs.unmount(self.mount_name)

    def create_dataframes(self) -> None:
        for topic in self.topics:
            df: DataFrame = self.spark.read.option("inferSchema", "true").json(
                f"{self.mount_name}/topics/{self.iam_username}.{topic}/partition=0/*.json"
            )
            globals()[f"df_{topic}"] = df
            df.createOrReplaceGlobalTempView(f"df_{topic}")

    def write(self, df: DataFrame, table: str) -> None:
        df.write.format("delta").mode("overwrite").option("mergeSchema", "true").saveAsTable(table)
        target = DeltaTable.forName(self.spark, table)
        (target.alias("t").merge(df.alias("s"), "t.ind = s.ind").whenMatchedUpdateAll().whenNotMatchedInsertAll().execute())
