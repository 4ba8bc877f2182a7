"""What a person reads whose run has lost the Spark driver: the notebook says it, or the workspace, which sees it."""

from __future__ import annotations

STOPPED = "The Spark driver has stopped unexpectedly and is restarting"
"""Databricks' own words."""

LOST = (
    STOPPED + ": the cluster {remote} was lost {where}, and with it this run's session, its temporary views and its "
    "cached data. Tables and files are still there. Run the notebook again; `make status` shows whether the cluster is "
    "back."
)
