"""The one cluster, the one user and what else clients ask a workspace about before they get to work."""

from __future__ import annotations

import socket
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends

from services.databricks.workspace.errors import invalid_parameter
from services.databricks.workspace.parts import Parts, parts
from services.databricks.workspace.request import WITHOUT_EFFECT, Parameters, reading
from services.databricks.workspace.settings import Settings

router = APIRouter(prefix="/api")
Workspace = Annotated[Parts, Depends(parts)]
Version = Literal["2.0", "2.1"]
# Some number has to be the workspace's: clients read it from the header X-Databricks-Org-Id.
WORKSPACE_ID = "1"
_SPARK_VERSION = "pinflow-spark-4.2"
_NODE_TYPE = "local"


class ClusterId(Parameters):
    cluster_id: str


@router.get("/{version}/clusters/get")
def get_cluster(
    version: Version, workspace: Workspace, asked: Annotated[ClusterId, Depends(reading(ClusterId))]
) -> dict[str, Any]:
    return _cluster(workspace.settings, asked.cluster_id)


@router.get("/{version}/clusters/list")
def list_clusters(version: Version, workspace: Workspace) -> dict[str, Any]:
    return {"clusters": [_cluster(workspace.settings, workspace.settings.cluster_id)]}


@router.post("/{version}/clusters/start", tags=[WITHOUT_EFFECT])
def start_cluster(
    version: Version, workspace: Workspace, asked: Annotated[ClusterId, Depends(reading(ClusterId))]
) -> dict[str, Any]:
    _cluster(workspace.settings, asked.cluster_id)
    return {}  # The stack keeps it running; Databricks too answers so for a cluster that runs.


@router.get("/{version}/clusters/spark-versions")
def list_spark_versions(version: Version) -> dict[str, Any]:
    return {"versions": [{"key": _SPARK_VERSION, "name": "Spark 4.2 with Delta Lake, on this machine"}]}


@router.get("/{version}/clusters/list-node-types")
def list_node_types(version: Version) -> dict[str, Any]:
    node = {"node_type_id": _NODE_TYPE, "instance_type_id": _NODE_TYPE, "description": "This machine"}
    return {"node_types": [{**node, "memory_mb": 0, "num_cores": 0, "category": "General Purpose"}]}


@router.get("/2.0/policies/clusters/list")
def list_policies() -> dict[str, Any]:
    return {}


@router.get("/2.0/preview/scim/v2/Me")
def get_me(workspace: Workspace) -> dict[str, Any]:
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
