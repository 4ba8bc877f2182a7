# Databricks notebook source
# MAGIC %run "./Utilities/AWS access"

# COMMAND ----------

  df_pin = read_from_s3("pin")
  df_pin.printSchema()
  df_pin.count()

# COMMAND ----------

# MAGIC %md ### Placeholders become nulls

# COMMAND ----------

df_pin = df_pin.replace({"No description available Story format": None, "No description available": None}, subset=["description"])
df_pin = df_pin.replace({"User Info Error": None}, subset=["poster_name", "follower_count"])
df_pin = df_pin.replace({"Image src error.": None}, subset=["image_src"])
df_pin = df_pin.replace("N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e", None, ["tag_list"])
df_pin = df_pin.withColumn("title", when(col("title") == "No Title Data Available", None).otherwise(col("title")))
for column in df_pin.columns:
    if dict(df_pin.dtypes)[column] == "string":
        df_pin = df_pin.withColumn(column, when(trim(df_pin[column]) == "", None).otherwise(df_pin[column]))

# COMMAND ----------

df_pin.withColumn('pattern', regexp_replace('follower_count', '[0-9]+', '9')).groupBy('pattern').count().show()
df_pin = df_pin.withColumn("multiplier", when(df_pin.follower_count.like('%k'), 1000).when(df_pin.follower_count.endswith('M'), 1000000).otherwise(1))
df_pin = df_pin.withColumn("follower_count", regexp_replace(df_pin.follower_count, "[kM]", "").cast("int") * df_pin["multiplier"])
df_pin = df_pin.withColumn("follower_count", df_pin["follower_count"].cast("integer"))

# COMMAND ----------

df_pin = df_pin.withColumn("save_location", regexp_replace("save_location", "Local save in ", ""))
df_pin = df_pin.withColumnRenamed("index", "ind").dropDuplicates(["ind"]).drop("multiplier", "downloaded")
df_pin = df_pin.withColumn("ind", df_pin["ind"].cast("int"))
df_pin = df_pin.select("ind", "unique_id", "title", "description", "follower_count", "poster_name", "tag_list", "is_image_or_video", "image_src", "save_location", "category")
display(df_pin)

# COMMAND ----------

df_pin.createOrReplaceGlobalTempView("pin_clean")
