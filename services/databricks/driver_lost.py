"""The message of a run that lost the Spark driver. The notebook writes it, or the workspace if it notices first."""

from __future__ import annotations

STOPPED = "The Spark driver has stopped unexpectedly and is restarting"
"""Databricks' own words."""

MESSAGE = (
    STOPPED + ": the cluster {remote} was lost {where}, and with it this run's session, its temporary views and its "
    "cached data. Tables and files are still there. Run the notebook again; `make status` shows whether the cluster is "
    "back."
)
