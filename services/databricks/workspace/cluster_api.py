"""The one cluster, the one user, and what else clients ask a workspace before they start to work."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from services.databricks.workspace.api import Api, Parameters
from services.databricks.workspace.errors import invalid_parameter
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.workspace import Workspace

api = Api("/api/{version}/clusters", "2.0", "2.1")
others = Api("/api/2.0")
# Clients read the workspace's number from the header X-Databricks-Org-Id.
WORKSPACE_ID = "1"
_SPARK_VERSION = "pinflow-spark-4.2"
_NODE_TYPE = "local"


class ClusterId(Parameters):
    cluster_id: str


@api.get("/get")
def get_cluster(workspace: Workspace, asked: ClusterId) -> dict[str, Any]:
    return _cluster(workspace.settings, asked.cluster_id)


@api.get("/list")
def list_clusters(workspace: Workspace, asked: Parameters) -> dict[str, Any]:
    return {"clusters": [_cluster(workspace.settings, workspace.settings.cluster_id)]}


@api.post("/start", without_effect=True)
def start_cluster(workspace: Workspace, asked: ClusterId) -> None:
    """The stack keeps the cluster running. Databricks gives the same answer for a running cluster."""
    _cluster(workspace.settings, asked.cluster_id)


@api.get("/spark-versions")
def list_spark_versions(workspace: Workspace, asked: Parameters) -> dict[str, Any]:
    return {"versions": [{"key": _SPARK_VERSION, "name": "Spark 4.2 with Delta Lake, on this machine"}]}


@api.get("/list-node-types")
def list_node_types(workspace: Workspace, asked: Parameters) -> dict[str, Any]:
    node = {"node_type_id": _NODE_TYPE, "instance_type_id": _NODE_TYPE, "description": "This machine"}
    return {"node_types": [{**node, "memory_mb": 0, "num_cores": 0, "category": "General Purpose"}]}


@others.get("/policies/clusters/list")
def list_policies(workspace: Workspace, asked: Parameters) -> None:
    """There are none."""


@others.get("/preview/scim/v2/Me")
def get_me(workspace: Workspace, asked: Parameters) -> dict[str, Any]:
    user = workspace.settings.user
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "1",
        "userName": user,
        "displayName": user,
        "active": True,
        "emails": [{"type": "work", "value": user, "primary": True}],
        "groups": [{"display": "admins", "type": "direct", "value": "1"}],
    }


def _cluster(settings: Settings, cluster_id: str) -> dict[str, Any]:
    if cluster_id != settings.cluster_id:
        raise invalid_parameter(f"Cluster {cluster_id} does not exist")
    running = _listens(settings.remote)
    return {
        "cluster_id": cluster_id,
        "cluster_name": "pinflow",
        "creator_user_name": settings.user,
        "single_user_name": settings.user,
        "cluster_source": "UI",
        "state": "RUNNING" if running else "PENDING",
        "state_message": "" if running else f"The Spark Connect server does not answer yet at {settings.remote}.",
        "spark_version": _SPARK_VERSION,
        "node_type_id": _NODE_TYPE,
        "driver_node_type_id": _NODE_TYPE,
        "num_workers": 0,
        "autotermination_minutes": 0,
        "spark_context_id": 1,
    }


def _listens(remote: str) -> bool:
    address = urlsplit(remote)
    try:
        with socket.create_connection((address.hostname or "127.0.0.1", address.port or 15002), timeout=1):
            return True
    except OSError:
        return False
