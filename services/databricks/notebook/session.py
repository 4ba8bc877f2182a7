"""The notebook's own Spark session, and what must behave as in a Databricks notebook."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from typing import Any

import grpc
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from . import compat
from .document import Document
from .sql import bind

NO_JVM = (
    "Directly accessing the underlying Spark driver JVM using the attribute '<attr_name>' is not supported on shared "
    "clusters. If you require direct access to these fields, consider using a single-user cluster. For more details "
    "on compatibility and limitations, check: "
    "https://docs.databricks.com/compute/access-mode-limitations.html"
)
"""The words of Databricks' clusters that are used through Spark Connect (shared, now called standard)."""

OF_SESSION = ("createDataFrame", "range", "read", "readStream", "sql", "streams", "table", "udf")
"""What a SQLContext forwards to its session."""

LOST = ("SESSION_NOT_FOUND", "SESSION_CHANGED", "SESSION_CLOSED", "NO_ACTIVE_SESSION", "StatusCode.UNAVAILABLE")


def connect(document: Document, local: Callable[[Any], Any]) -> SparkSession:
    """A new session on the cluster, to which PySpark's own ways to a session lead from now on.

    ``local`` translates a file:/ URL of a Databricks driver into one of this machine.

    Raises what PySpark raises if the cluster does not answer within about half a minute.
    """
    # PySpark reads here whether it is a Connect client; SparkContext() then refuses to start.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    remote = document.remote.rstrip("/")
    session = SparkSession(f"{remote}/;user_id={document.user};session_id={document.session_id};user_agent=notebook")
    # Waits between attempts: 0.05, 0.2, 0.8, 3.2, then 5 s each. PySpark's own limit is 10 minutes and more.
    session.client.set_retry_policies([DefaultPolicy(max_retries=9, max_backoff=5000)])
    compat.configure(session, _cluster_tags(document))
    session.client.set_retry_policies([DefaultPolicy(max_retries=6, max_backoff=5000)])
    compat.use_one_session(session)
    compat.reword_missing_jvm(NO_JVM)
    compat.send_modules_of(document.workspace_root)
    compat.bind_parameters(bind)
    # Hadoop 3 takes no keys in a path, and a plan with keys would show them: the cluster's own keys count.
    compat.translate_paths(lambda path: local(without_keys(path)))
    compat.show_progress_numbers()
    compat.restore_spark_3_names()
    # PySpark also writes each error of a query to stderr as JSON, beside raising it.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    return session


def lost(error: BaseException | None) -> bool:
    """Whether the error, or one that caused it, says that the cluster or its session is gone."""
    seen = 0
    while error is not None and seen < 20:
        text = str(error)
        if isinstance(error, grpc.RpcError) or "Grpc" in type(error).__name__ or "grpc" in type(error).__module__:
            if any(mark in text for mark in LOST) or "failed to connect to all addresses" in text:
                return True
        elif "NO_ACTIVE_SESSION" in text or "SESSION_CHANGED" in text:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


class NoSparkContext:
    """`sc` and `sqlContext`: any use is the error of a cluster that is used through Spark Connect.

    A SQLContext forwards some names to its ``session``; those work without a SparkContext.
    """

    def __init__(self, name: str, session: SparkSession | None = None) -> None:
        vars(self).update(_name=name, _session=session)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_ipython", "_repr")) or attribute == "__wrapped__":
            raise AttributeError(attribute)
        if self._session is not None and attribute in OF_SESSION:
            return getattr(self._session, attribute)
        raise compat.missing_jvm("sparkContext" if self._name == "sc" else self._name)

    def __repr__(self) -> str:
        return f"<{self._name}: {compat.missing_jvm('sparkContext')}>"


def without_keys(path: Any) -> Any:
    """`s3n://bucket/a` of `s3n://KEY:SECRET@bucket/a`, in a list too; everything else unchanged."""
    if isinstance(path, list | tuple):
        return [without_keys(each) for each in path]
    return re.sub(r"^(s3[an]?://)[^/@:]+:[^@]+@", r"\1", path) if isinstance(path, str) else path


def _cluster_tags(document: Document) -> dict[str, str]:
    """What notebooks ask spark.conf about their cluster."""
    region = os.environ.get("AWS_REGION", "us-east-1")
    tags = {
        "clusterId": document.cluster_id,
        "clusterName": "pinflow",
        "clusterOwnerOrgId": "0",
        "orgId": "0",
        "clusterCreator": document.user,
        "clusterAllTags": "[]",
        "cloudProvider": "AWS",
        "region": region,
        "dataPlaneRegion": region,
        "sparkVersion": "17.3.x-scala2.13",
        "clusterTargetWorkers": "0",
        "clusterNodeType": "local",
        "driverNodeType": "local",
    }
    return {f"spark.databricks.clusterUsageTags.{name}": value for name, value in tags.items()} | {
        "spark.databricks.workspaceUrl": document.api_url.partition("://")[2],
        "spark.databricks.cloudProvider": "AWS",
        "spark.databricks.notebook.path": document.notebook_path,
        "spark.databricks.job.runId": str(document.run_id),
    }
