# Databricks notebook source
# MAGIC %run "./classes/s3_loader"

# COMMAND ----------

if __name__ == "__main__":
    loader = S3Loader("dbfs:/user/hive/warehouse/authentication_credentials", "0a1b2c3d4e5f", ["pin", "geo", "user"])
    loader.mount()
    display(dbutils.fs.ls(f"{loader.mount_name}/topics/0a1b2c3d4e5f.geo/partition=0"))

# COMMAND ----------

loader.create_dataframes()
loader.write(df_geo.dropDuplicates(["ind"]), "loaded_geo")

# COMMAND ----------

import matplotlib.pyplot as plt
import pyspark.pandas as ps

counts = df_pin.groupBy("category").count().orderBy("category").toPandas()
plt.figure(figsize=(3, 2))
plt.bar(counts["category"], counts["count"])
plt.show()
ages = ps.DataFrame(df_user.select("ind", "age")).groupby("age").count()
display(ages)

# COMMAND ----------

# MAGIC %sh
# MAGIC echo "from the shell"

# COMMAND ----------

loader.unmount()
dbutils.notebook.exit(str(spark.table("loaded_geo").count()))
