"""The Workspace API 2.0: https://docs.databricks.com/api/workspace/workspace."""

from __future__ import annotations

import base64
from typing import Any

from starlette.responses import Response

from services.databricks.workspace import formats
from services.databricks.workspace.api import Api, Base64, Parameters
from services.databricks.workspace.errors import not_implemented
from services.databricks.workspace.tree import Object
from services.databricks.workspace.workspace import Workspace

api = Api("/api/2.0/workspace")


class AtPath(Parameters):
    path: str


class Import(AtPath):
    content: Base64
    format: str = "SOURCE"
    language: str | None = None
    overwrite: bool = False


class Export(AtPath):
    format: str = "SOURCE"
    direct_download: bool = False


class Listing(AtPath):
    notebooks_modified_after: int = 0


class Delete(AtPath):
    recursive: bool = False


@api.post("/import")
def import_object(workspace: Workspace, asked: Import) -> dict[str, Any]:
    kind = asked.format.upper()
    if kind == "SOURCE":
        ending = formats.ending_of_source(asked.path, asked.language)
    elif kind == "JUPYTER":
        ending = ".ipynb"
    elif kind == "AUTO":
        ending = formats.ending_of_auto(asked.path, asked.content)
    elif kind == "RAW":
        ending = ""
    else:
        raise not_implemented(f"Importing {asked.format} (use SOURCE, JUPYTER, AUTO or RAW)")
    if ending == ".ipynb":
        formats.check_jupyter(asked.path, asked.content)
    return {"object_id": workspace.tree.write(asked.path, ending, asked.content, asked.overwrite).object_id}


@api.get("/export")
def export_object(workspace: Workspace, asked: Export) -> dict[str, Any] | Response:
    found = workspace.tree.get(asked.path)
    if found.kind == "DIRECTORY":
        raise not_implemented("Exporting a folder at once (list it, and export what is in it)")
    content, ending = _exported(found, asked.format.upper())
    if asked.direct_download:
        return Response(content, media_type="application/octet-stream")
    return {"content": base64.b64encode(content).decode(), "file_type": ending.removeprefix(".")}


@api.get("/get-status")
def get_status(workspace: Workspace, asked: AtPath) -> dict[str, Any]:
    return _shown(workspace.tree.get(asked.path))


@api.get("/list")
def list_objects(workspace: Workspace, asked: Listing) -> dict[str, Any]:
    after = asked.notebooks_modified_after
    found = workspace.tree.list(asked.path)
    objects = [_shown(each) for each in found if each.kind != "NOTEBOOK" or each.modified >= after]
    return {"objects": objects} if objects else {}


@api.post("/mkdirs")
def make_folders(workspace: Workspace, asked: AtPath) -> None:
    workspace.tree.make_folder(asked.path)


@api.post("/delete")
def delete_object(workspace: Workspace, asked: Delete) -> None:
    workspace.tree.delete(asked.path, asked.recursive)


def _exported(found: Object, kind: str) -> tuple[bytes, str]:
    content, ending = found.file.read_bytes(), found.file.suffix
    if found.kind == "FILE" or kind in ("AUTO", "RAW"):
        return content, ending
    if kind == "SOURCE":
        return (formats.to_source(found.file.name, content), ".py") if ending == ".ipynb" else (content, ending)
    if kind == "JUPYTER":
        return (content if ending == ".ipynb" else formats.to_jupyter(found.file.name, content)), ".ipynb"
    raise not_implemented(f"Exporting as {kind} (use SOURCE, JUPYTER or AUTO)")


def _shown(found: Object) -> dict[str, Any]:
    return {
        "object_type": found.kind,
        "path": found.path,
        "object_id": found.object_id,
        "resource_id": str(found.object_id),
        "created_at": found.created,
        "modified_at": found.modified,
        **({"language": found.language} if found.language else {}),
        **({"size": found.size} if found.kind == "FILE" else {}),
    }
