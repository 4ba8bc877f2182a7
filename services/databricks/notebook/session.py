"""The notebook's own Spark session, and what of PySpark must behave as in a Databricks notebook."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from pyspark import cloudpickle
from pyspark.errors.exceptions.base import PySparkAttributeError
from pyspark.errors.utils import ErrorClassesReader
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.readwriter import DataFrameReader, DataFrameWriter
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.connect.streaming.readwriter import DataStreamReader, DataStreamWriter
from pyspark.sql.session import SparkSession as ClassicSession
from pyspark.sql.streaming.listener import StreamingQueryProgress

from . import spark_3
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
"""What a SQLContext has of its session."""

LOST = ("SESSION_NOT_FOUND", "SESSION_CHANGED", "SESSION_CLOSED", "NO_ACTIVE_SESSION", "StatusCode.UNAVAILABLE")


def connect(document: Document, local: Callable[[Any], Any]) -> SparkSession:
    """A new session on the cluster; with it PySpark's own ways to a session lead to this one.

    `local` makes of a file:/ URL of a Databricks driver the one of this machine.

    Raises what PySpark raises if the cluster does not answer within about half a minute.
    """
    # PySpark asks this variable whether it is a Connect client; SparkContext() refuses to start one then.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    remote = document.remote.rstrip("/")
    session = SparkSession(f"{remote}/;user_id={document.user};session_id={document.session_id};user_agent=notebook")
    # Waits between attempts: 0.05, 0.2, 0.8, 3.2, then 5 s each. PySpark's own bound is 10 minutes and more.
    session.client.set_retry_policies([DefaultPolicy(max_retries=9, max_backoff=5000)])
    session.conf._set_all(_cluster_tags(document), silent=True)
    session.client.set_retry_policies([DefaultPolicy(max_retries=6, max_backoff=5000)])
    SparkSession._set_default_and_active_session(session)
    _one_session(session)
    _as_on_databricks(document.workspace_root, local)
    return session


def lost(error: BaseException | None) -> bool:
    """Whether the error, or one that led to it, says that the cluster or its session is gone."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, grpc.RpcError) or "Grpc" in type(error).__name__ or "grpc" in type(error).__module__:
            text = str(error)
            if any(mark in text for mark in LOST) or "failed to connect to all addresses" in text:
                return True
        elif "NO_ACTIVE_SESSION" in str(error) or "SESSION_CHANGED" in str(error):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


class NoSparkContext:
    """`sc` and `sqlContext`: what is asked of them is the error of a cluster used through Spark Connect.

    But for what a SQLContext only hands on to its ``session``: that works without a SparkContext.
    """

    def __init__(self, name: str, session: SparkSession | None = None) -> None:
        vars(self).update(_name=name, _session=session)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith(("_ipython", "_repr")) or attribute == "__wrapped__":
            raise AttributeError(attribute)
        if self._session is not None and attribute in OF_SESSION:
            return getattr(self._session, attribute)
        raise no_jvm("sparkContext" if self._name == "sc" else self._name)

    def __repr__(self) -> str:
        return f"<{self._name}: {no_jvm('sparkContext')}>"


def no_jvm(attribute: str) -> PySparkAttributeError:
    """The error for what needs the JVM."""
    return PySparkAttributeError(errorClass="JVM_ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": attribute})


def _cluster_tags(document: Document) -> dict[str, str]:
    """What notebooks ask spark.conf about their cluster. Settings of the session only."""
    tags = {
        "clusterId": document.cluster_id,
        "clusterName": "pinflow",
        "clusterOwnerOrgId": "0",
        "orgId": "0",
        "clusterCreator": document.user,
        "clusterAllTags": "[]",
        "cloudProvider": "AWS",
        "region": os.environ.get("AWS_REGION", "us-east-1"),
        "dataPlaneRegion": os.environ.get("AWS_REGION", "us-east-1"),
        "sparkVersion": "17.3.x-scala2.13",
        "clusterTargetWorkers": "0",
        "clusterNodeType": "local",
        "driverNodeType": "local",
    }
    settings = {f"spark.databricks.clusterUsageTags.{name}": value for name, value in tags.items()}
    return settings | {
        "spark.databricks.workspaceUrl": document.api_url.partition("://")[2],
        "spark.databricks.cloudProvider": "AWS",
        "spark.databricks.notebook.path": document.notebook_path,
        "spark.databricks.job.runId": str(document.run_id),
    }


def _one_session(session: SparkSession) -> None:
    """`SparkSession.builder...getOrCreate()` is the notebook's session, whatever master or remote it names."""

    def get_or_create(builder: Any) -> SparkSession:
        with_effect = {
            key: value
            for key, value in builder._options.items()
            if key not in ("spark.remote", "spark.master", "spark.app.name", "spark.sql.catalogImplementation")
        }
        if with_effect:
            # Silent: what only a new cluster could take is left, as getOrCreate does for a running session.
            session.conf._set_all(with_effect, silent=True)
        return session

    def stop(asked: SparkSession) -> None:
        """The notebook's session ends with the run; on Databricks stop() does not end the cluster either."""
        if asked is not session:
            original_stop(asked)

    original_stop = SparkSession.stop
    for builder in (ClassicSession.Builder, SparkSession.Builder):
        builder.getOrCreate = get_or_create
        builder.enableHiveSupport = lambda builder: builder
        builder.master = lambda builder, master: builder
        builder.remote = lambda builder, url: builder
    ClassicSession.Builder._validate_startup_urls = lambda builder: None
    SparkSession.stop = stop
    SparkSession.__del__ = lambda session: None
    # Threads of the notebook have no active session of their own.
    SparkSession.getActiveSession = classmethod(lambda cls: getattr(cls._active_session, "session", None) or session)


def _as_on_databricks(workspace_root: Path, local: Callable[[Any], Any]) -> None:
    ErrorClassesReader().error_info_map["JVM_ATTRIBUTE_NOT_SUPPORTED"]["message"] = [NO_JVM]
    _send_modules_of(workspace_root)
    _parameters_of_sql()
    _paths_of_this_machine(local)
    _progress_as_a_dict()
    spark_3.restore()
    # PySpark writes each error of a query as JSON to stderr too, beside raising it.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)


def _progress_as_a_dict() -> None:
    """`query.lastProgress["numInputRows"]`: PySpark 4.2 has these numbers as attributes only, as keys they are None."""
    original = StreamingQueryProgress.fromJson.__func__

    def from_json(cls: Any, values: dict[str, Any]) -> Any:
        progress = original(cls, values)
        for name in ("numInputRows", "inputRowsPerSecond", "processedRowsPerSecond"):
            progress[name] = getattr(progress, name)
        return progress

    StreamingQueryProgress.fromJson = classmethod(from_json)


def _parameters_of_sql() -> None:
    original = SparkSession.sql

    @functools.wraps(original)
    def with_parameters(session: Any, sqlQuery: str, args: Any = None, **kwargs: Any) -> Any:
        return original(session, bind(sqlQuery, args) if args else sqlQuery, **kwargs)

    SparkSession.sql = with_parameters


def without_keys(path: Any) -> Any:
    """`s3n://bucket/a` of `s3n://KEY:SECRET@bucket/a`, in a list too; everything else as it is."""
    if isinstance(path, list | tuple):
        return [without_keys(each) for each in path]
    return re.sub(r"^(s3[an]?://)[^/@:]+:[^@]+@", r"\1", path) if isinstance(path, str) else path


def _paths_of_this_machine(local: Callable[[Any], Any]) -> None:
    """Hadoop 3 takes no keys in a path, and a plan with keys would show them: the cluster's own keys count."""
    for owner, name in (
        (DataFrameReader, "load"),
        (DataFrameWriter, "save"),
        (DataStreamReader, "load"),
        (DataStreamWriter, "start"),
    ):
        _wrap_path(owner, name, local)


def _wrap_path(owner: type[Any], name: str, local: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def with_path(self: Any, path: Any = None, *args: Any, **kwargs: Any) -> Any:
        return original(self, local(without_keys(path)), *args, **kwargs)

    setattr(owner, name, with_path)


def _send_modules_of(workspace_root: Path) -> None:
    """Functions that Spark runs carry the workspace's own modules with them: the cluster cannot import those."""
    original = cloudpickle.cloudpickle._is_registered_pickle_by_value

    def by_value(module: Any) -> bool:
        file = getattr(module, "__file__", None)
        return original(module) or bool(file and Path(file).resolve().is_relative_to(workspace_root))

    cloudpickle.cloudpickle._is_registered_pickle_by_value = by_value
