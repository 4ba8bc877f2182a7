"""The parts that every API needs, made once per workspace and handed to the endpoints."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from services.databricks.workspace.continuous import ContinuousJobs
from services.databricks.workspace.runs import Runs
from services.databricks.workspace.secret_scopes import SecretScopes
from services.databricks.workspace.settings import Settings
from services.databricks.workspace.store import Store
from services.databricks.workspace.tree import Tree
from services.databricks.workspace.uploads import Uploads


@dataclass(frozen=True)
class Parts:
    """One workspace: settings, database, files, runs, continuous jobs, open uploads to DBFS, secret scopes."""

    settings: Settings
    store: Store
    tree: Tree
    runs: Runs
    continuous: ContinuousJobs
    uploads: Uploads
    secrets: SecretScopes


def parts(request: Request) -> Parts:
    """A FastAPI dependency: the workspace that the application serves."""
    found = request.app.state.parts
    assert isinstance(found, Parts)
    return found
