"""One notebook run in a process of its own, as a thin client of the cluster: `python -m services.databricks.notebook`.

It runs in the spark environment and imports nothing of the rest of the repository.
"""
