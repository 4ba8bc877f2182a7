"""The DBFS API 2.0, carried out by the cluster: https://docs.databricks.com/api/workspace/dbfs."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from services.databricks.workspace import control
from services.databricks.workspace.errors import ApiError, already_exists, does_not_exist, invalid_parameter
from services.databricks.workspace.parts import Parts, parts
from services.databricks.workspace.request import Parameters, reading

router = APIRouter(prefix="/api/2.0/dbfs")
Workspace = Annotated[Parts, Depends(parts)]
# Databricks' limits: a block, and what one read may ask for.
_BLOCK = 1024 * 1024


class AtPath(Parameters):
    path: str


class Create(AtPath):
    overwrite: bool = False


class Put(Create):
    contents: str | bytes = ""


class Delete(AtPath):
    recursive: bool = False


class Move(Parameters):
    source_path: str
    destination_path: str


class Read(AtPath):
    offset: int = Field(default=0, ge=0)
    length: int = Field(default=512 * 1024, ge=0)


class Handle(Parameters):
    handle: int


class Block(Handle):
    data: str


@router.get("/get-status")
def get_status(workspace: Workspace, asked: Annotated[AtPath, Depends(reading(AtPath))]) -> dict[str, Any]:
    return _shown(_on_cluster(workspace, "fs/status", asked.path))


@router.get("/list")
def list_files(workspace: Workspace, asked: Annotated[AtPath, Depends(reading(AtPath))]) -> dict[str, Any]:
    files = [_shown(info) for info in _on_cluster(workspace, "fs/ls", asked.path)]
    return {"files": files} if files else {}


@router.post("/mkdirs")
def make_directories(workspace: Workspace, asked: Annotated[AtPath, Depends(reading(AtPath))]) -> dict[str, Any]:
    _on_cluster(workspace, "fs/mkdirs", asked.path)
    return {}


@router.post("/delete")
def delete_file(workspace: Workspace, asked: Annotated[Delete, Depends(reading(Delete))]) -> dict[str, Any]:
    _on_cluster(workspace, "fs/rm", asked.path, recurse=asked.recursive)
    return {}


@router.post("/move")
def move_file(workspace: Workspace, asked: Annotated[Move, Depends(reading(Move))]) -> dict[str, Any]:
    source, target = _dbfs(asked.source_path), _dbfs(asked.destination_path)
    _on_cluster(workspace, "fs/status", source)
    if _exists(workspace, target):
        raise already_exists(f"A file or directory already exists at the input path {target}.")
    control.call(workspace.settings, "fs/mv", **{"from": source, "to": target, "recurse": True})
    return {}


@router.post("/put")
def put_file(workspace: Workspace, asked: Annotated[Put, Depends(reading(Put))]) -> dict[str, Any]:
    data = asked.contents if isinstance(asked.contents, bytes) else _decoded(asked.contents)
    _write(workspace, asked.path, data, asked.overwrite)
    return {}


@router.get("/read")
def read_file(workspace: Workspace, asked: Annotated[Read, Depends(reading(Read))]) -> dict[str, Any]:
    if asked.length > _BLOCK:
        raise ApiError(400, "MAX_READ_SIZE_EXCEEDED", f"length must not be more than {_BLOCK} bytes.")
    answer = _on_cluster(workspace, "fs/read", asked.path, offset=asked.offset, length=asked.length)
    return {"bytes_read": len(_decoded(answer["data"])), "data": answer["data"]}


@router.post("/create")
def create_file(workspace: Workspace, asked: Annotated[Create, Depends(reading(Create))]) -> dict[str, Any]:
    if not asked.overwrite and _exists(workspace, asked.path):
        raise already_exists(f"A file or directory already exists at the input path {_dbfs(asked.path)}.")
    handle = workspace.store.new_id()
    workspace.uploads.add(handle, asked.path, asked.overwrite)
    return {"handle": handle}


@router.post("/add-block")
def add_block(workspace: Workspace, asked: Annotated[Block, Depends(reading(Block))]) -> dict[str, Any]:
    data = _decoded(asked.data)
    if len(data) > _BLOCK:
        raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", f"A block must not be larger than {_BLOCK} bytes.")
    workspace.uploads.append(asked.handle, data)
    return {}


@router.post("/close")
def close_file(workspace: Workspace, asked: Annotated[Handle, Depends(reading(Handle))]) -> dict[str, Any]:
    upload = workspace.uploads.close(asked.handle)
    _write(workspace, upload.path, bytes(upload.data), upload.overwrite)
    return {}


def _write(workspace: Parts, path: str, data: bytes, overwrite: bool) -> None:
    encoded = base64.b64encode(data).decode()
    _on_cluster(workspace, "fs/write", path, data=encoded, overwrite=overwrite)


def _exists(workspace: Parts, path: str) -> bool:
    try:
        _on_cluster(workspace, "fs/status", path)
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


def _on_cluster(workspace: Parts, operation: str, path: str, **arguments: Any) -> Any:
    try:
        return control.call(workspace.settings, operation, path=_dbfs(path), **arguments)
    except ApiError as error:
        # The endpoint words errors as dbutils shows them in a notebook; the REST API has words of its own.
        if error.status == 404:
            raise does_not_exist(f"No file or directory exists on path {path}.") from None
        if error.status == 409:
            raise already_exists(f"A file or directory already exists at the input path {_dbfs(path)}.") from None
        raise


def _dbfs(path: str) -> str:
    if path.startswith("/"):
        return f"dbfs:{path}"
    if path.startswith("dbfs:/"):
        return path
    raise invalid_parameter(f"Path must be absolute: {path}")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise invalid_parameter("The data is not base64.") from None


def _shown(info: dict[str, Any]) -> dict[str, Any]:
    path = str(info["path"]).removeprefix("dbfs:")
    directory = str(info["name"]).endswith("/") or path.endswith("/")
    return {
        "path": path.rstrip("/") or "/",
        "is_dir": directory,
        "file_size": 0 if directory else info["size"],
        "modification_time": info["modificationTime"],
    }
