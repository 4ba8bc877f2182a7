"""The Pinterest pipeline on Databricks: schemas, cleaning, the questions, and the batch job.

Notebooks import it as it is; it needs PySpark and Delta only.
"""
