"""The Pinterest pipeline on Databricks: the registry of tables and questions, cleaning, the batch and stream jobs.

Notebooks import it as it is; it needs PySpark and Delta only.
"""
