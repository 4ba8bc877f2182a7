"""The Workspace API 2.0: https://docs.databricks.com/api/workspace/workspace."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from services.databricks.workspace import formats
from services.databricks.workspace.errors import invalid_parameter, not_implemented
from services.databricks.workspace.parts import Parts, parts
from services.databricks.workspace.request import Parameters, reading
from services.databricks.workspace.tree import Object

router = APIRouter(prefix="/api/2.0/workspace")
Workspace = Annotated[Parts, Depends(parts)]


class AtPath(Parameters):
    path: str


class Import(AtPath):
    content: str | bytes
    format: str = "SOURCE"
    language: str | None = None
    overwrite: bool = False

    @property
    def data(self) -> bytes:
        """The uploaded bytes: a form's part as it is, a JSON text from base64."""
        if isinstance(self.content, bytes):
            return self.content
        try:
            return base64.b64decode(self.content, validate=True)
        except (ValueError, binascii.Error):
            raise invalid_parameter("content is not base64.") from None


class Export(AtPath):
    format: str = "SOURCE"
    direct_download: bool = False


class Listing(AtPath):
    notebooks_modified_after: int = 0


class Delete(AtPath):
    recursive: bool = False


@router.post("/import")
def import_object(workspace: Workspace, asked: Annotated[Import, Depends(reading(Import))]) -> dict[str, Any]:
    data, kind = asked.data, asked.format.upper()
    if kind == "SOURCE":
        ending: str | None = formats.ending_of_source(asked.path, asked.language)
    elif kind == "JUPYTER":
        ending = ".ipynb"
    elif kind == "AUTO":
        ending = formats.ending_of_auto(asked.path, data)
    elif kind == "RAW":
        ending = None
    else:
        raise not_implemented(f"Importing {asked.format} (use SOURCE, JUPYTER, AUTO or RAW)")
    if ending == ".ipynb":
        formats.check_jupyter(asked.path, data)
    if ending:
        written = workspace.tree.write(asked.path, ending, data, "NOTEBOOK", asked.overwrite)
    else:
        written = workspace.tree.write(asked.path, "", data, "FILE", asked.overwrite)
    return {"object_id": written.object_id}


@router.get("/export")
def export_object(workspace: Workspace, asked: Annotated[Export, Depends(reading(Export))]) -> Response:
    found = workspace.tree.get(asked.path)
    if found.kind == "DIRECTORY":
        raise not_implemented("Exporting a folder at once (list it, and export what is in it)")
    content, ending = _exported(found, asked.format.upper())
    if asked.direct_download:
        return Response(content, media_type="application/octet-stream")
    document = {"content": base64.b64encode(content).decode(), "file_type": ending.removeprefix(".")}
    return JSONResponse(document)


@router.get("/get-status")
def get_status(workspace: Workspace, asked: Annotated[AtPath, Depends(reading(AtPath))]) -> dict[str, Any]:
    return _shown(workspace.tree.get(asked.path))


@router.get("/list")
def list_objects(workspace: Workspace, asked: Annotated[Listing, Depends(reading(Listing))]) -> dict[str, Any]:
    after = asked.notebooks_modified_after
    objects = [
        _shown(found)
        for found in workspace.tree.list(asked.path)
        if found.kind != "NOTEBOOK" or found.modified >= after
    ]
    return {"objects": objects} if objects else {}


@router.post("/mkdirs")
def make_folders(workspace: Workspace, asked: Annotated[AtPath, Depends(reading(AtPath))]) -> dict[str, Any]:
    workspace.tree.make_folder(asked.path)
    return {}


@router.post("/delete")
def delete_object(workspace: Workspace, asked: Annotated[Delete, Depends(reading(Delete))]) -> dict[str, Any]:
    workspace.tree.delete(asked.path, asked.recursive)
    return {}


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
    shown: dict[str, Any] = {
        "object_type": found.kind,
        "path": found.path,
        "object_id": found.object_id,
        "resource_id": str(found.object_id),
        "created_at": found.created,
        "modified_at": found.modified,
    }
    if found.language:
        shown["language"] = found.language
    if found.kind == "FILE":
        shown["size"] = found.size
    return shown
