"""The Databricks workspace on one machine: its REST API, its notebooks' files, their runs and the runs' pages."""
