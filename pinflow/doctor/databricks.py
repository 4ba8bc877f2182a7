"""The workspace: its token, its cluster, our notebooks."""

from __future__ import annotations

import re

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.errors import NotFound, PermissionDenied, Unauthenticated
from databricks.sdk.errors.base import DatabricksError

from foundation.databricks import SPARK_FOLDER
from foundation.errors import brief
from foundation.profile import Profile
from pinflow.doctor.finding import Finding, failed, fix_for, ok, skipped, unknown

_OLDEST_RUNTIME = 17  # Databricks' first with Spark 4: try_parse_json, DataFrame.toArrow and others are of that
_NOTEBOOKS = ("load", "questions")


def workspace(profile: Profile) -> list[Finding]:
    """Signs in, then checks the cluster and the notebooks that `make batch` uploads."""
    host = profile.databricks.host
    if absent := skipped(profile, "databricks", host):
        return absent
    tried = f"current user at {host}"
    try:
        # Databricks' client would retry for minutes if the host does not exist.
        requests.get(f"{host}/.well-known/databricks-config", timeout=(4, 10))
        config = Config(
            host=host, token=profile.databricks.token.get_secret_value(), auth_type="pat",
            retry_timeout_seconds=5, http_timeout_seconds=10,
        )  # fmt: skip
        client = WorkspaceClient(config=config)
        user = client.current_user.me().user_name
    except (Unauthenticated, PermissionDenied) as error:
        fix = "Databricks: Settings, Developer, Access tokens: create one and export it (databricks.token)"
        return [failed(tried, brief(error), fix)]
    except (DatabricksError, OSError, ValueError) as error:
        fix = fix_for(profile, "databricks", "databricks.host is the workspace's address, as the browser shows it")
        return [failed(tried, brief(error), fix)]
    return [
        ok(tried, str(user)),
        _cluster(client, profile),
        _notebooks(client, f"/Users/{user}/{SPARK_FOLDER}/notebooks"),
    ]


def _cluster(client: WorkspaceClient, profile: Profile) -> Finding:
    cluster = profile.databricks.cluster_id
    tried = f"cluster {cluster}"
    try:
        found = client.clusters.get(cluster)
    except (DatabricksError, OSError) as error:
        return failed(
            tried, brief(error), "Databricks: Compute, your cluster, Tags: ClusterId; put it into the profile"
        )
    if _is_older(found.spark_version or ""):
        return failed(
            tried,
            f"Databricks Runtime {found.spark_version}: the notebooks need Spark 4",
            f"Databricks: Compute, your cluster, Edit: Databricks Runtime {_OLDEST_RUNTIME} or later",
        )
    shown = found.state.value if found.state else "UNKNOWN"
    if shown in ("RUNNING", "RESIZING"):
        return ok(tried, shown)
    if shown in ("TERMINATED", "PENDING", "RESTARTING"):
        return ok(tried, f"{shown}: the next run starts it")
    return failed(tried, shown, fix_for(profile, "spark", "Databricks: Compute, the cluster's event log says why"))


def _is_older(version: str) -> bool:
    """Whether a cluster's version, such as 16.4.x-scala2.12, has a runtime before Spark 4; False for other formats."""
    runtime = re.match(r"(\d+)\.[\dx]", version)
    return runtime is not None and int(runtime.group(1)) < _OLDEST_RUNTIME


def _notebooks(client: WorkspaceClient, folder: str) -> Finding:
    missing = []
    try:
        for name in _NOTEBOOKS:
            try:
                client.workspace.get_status(f"{folder}/{name}")
            except NotFound:
                missing.append(name)
    except (DatabricksError, OSError) as error:
        return failed(f"notebooks in {folder}", brief(error), "the token's user may not read that folder")
    if missing:
        return unknown(f"notebooks in {folder}", f"not uploaded yet: {', '.join(missing)}", "make batch uploads them")
    return ok(f"notebooks in {folder}", f"{len(_NOTEBOOKS)} of {len(_NOTEBOOKS)}")
