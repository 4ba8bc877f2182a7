"""The DBFS API 2.0, carried out by the cluster: https://docs.databricks.com/api/workspace/dbfs."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import Field

from services.databricks.workspace import cluster
from services.databricks.workspace.api import Api, Base64, Parameters
from services.databricks.workspace.errors import ApiError, already_exists, does_not_exist, invalid_parameter
from services.databricks.workspace.workspace import Workspace

api = Api("/api/2.0/dbfs")
# Databricks' limits: a block, and what one read may ask for.
_BLOCK = 1024 * 1024


class AtPath(Parameters):
    path: str


class Create(AtPath):
    overwrite: bool = False


class Put(Create):
    contents: Base64 = b""


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
    data: Base64


@api.get("/get-status")
def get_status(workspace: Workspace, asked: AtPath) -> dict[str, Any]:
    return _shown(_on_cluster(workspace, "fs/status", asked.path))


@api.get("/list")
def list_files(workspace: Workspace, asked: AtPath) -> dict[str, Any]:
    files = [_shown(info) for info in _on_cluster(workspace, "fs/ls", asked.path)]
    return {"files": files} if files else {}


@api.post("/mkdirs")
def make_directories(workspace: Workspace, asked: AtPath) -> None:
    _on_cluster(workspace, "fs/mkdirs", asked.path)


@api.post("/delete")
def delete_file(workspace: Workspace, asked: Delete) -> None:
    _on_cluster(workspace, "fs/rm", asked.path, recurse=asked.recursive)


@api.post("/move")
def move_file(workspace: Workspace, asked: Move) -> None:
    source, target = _dbfs(asked.source_path), _dbfs(asked.destination_path)
    _on_cluster(workspace, "fs/status", source)
    _check_free(workspace, target)
    cluster.call(workspace.settings, "fs/mv", **{"from": source, "to": target, "recurse": True})


@api.post("/put")
def put_file(workspace: Workspace, asked: Put) -> None:
    _write(workspace, asked.path, asked.contents, asked.overwrite)


@api.get("/read")
def read_file(workspace: Workspace, asked: Read) -> dict[str, Any]:
    if asked.length > _BLOCK:
        raise ApiError(400, "MAX_READ_SIZE_EXCEEDED", f"length must not be more than {_BLOCK} bytes.")
    data = _on_cluster(workspace, "fs/read", asked.path, offset=asked.offset, length=asked.length)["data"]
    return {"bytes_read": len(base64.b64decode(data)), "data": data}


@api.post("/create")
def create_file(workspace: Workspace, asked: Create) -> dict[str, Any]:
    if not asked.overwrite:
        _check_free(workspace, asked.path)
    handle = workspace.store.new_id()
    workspace.uploads.add(handle, asked.path, asked.overwrite)
    return {"handle": handle}


@api.post("/add-block")
def add_block(workspace: Workspace, asked: Block) -> None:
    if len(asked.data) > _BLOCK:
        raise ApiError(400, "MAX_BLOCK_SIZE_EXCEEDED", f"A block must not be larger than {_BLOCK} bytes.")
    workspace.uploads.append(asked.handle, asked.data)


@api.post("/close")
def close_file(workspace: Workspace, asked: Handle) -> None:
    upload = workspace.uploads.close(asked.handle)
    _write(workspace, upload.path, bytes(upload.data), upload.overwrite)


def _write(workspace: Workspace, path: str, data: bytes, overwrite: bool) -> None:
    _on_cluster(workspace, "fs/write", path, data=base64.b64encode(data).decode(), overwrite=overwrite)


def _check_free(workspace: Workspace, path: str) -> None:
    try:
        _on_cluster(workspace, "fs/status", path)
    except ApiError as error:
        if error.status == 404:
            return
        raise
    raise _taken(path)


def _on_cluster(workspace: Workspace, operation: str, path: str, **arguments: Any) -> Any:
    try:
        return cluster.call(workspace.settings, operation, path=_dbfs(path), **arguments)
    except ApiError as error:
        # The endpoint words errors as dbutils shows them in a notebook; the REST API has its own words.
        if error.status == 404:
            raise does_not_exist(f"No file or directory exists on path {path}.") from None
        if error.status == 409:
            raise _taken(path) from None
        raise


def _taken(path: str) -> ApiError:
    return already_exists(f"A file or directory already exists at the input path {_dbfs(path)}.")


def _dbfs(path: str) -> str:
    if path.startswith("/"):
        return f"dbfs:{path}"
    if path.startswith("dbfs:/"):
        return path
    raise invalid_parameter(f"Path must be absolute: {path}")


def _shown(info: dict[str, Any]) -> dict[str, Any]:
    path = str(info["path"]).removeprefix("dbfs:")
    directory = str(info["name"]).endswith("/") or path.endswith("/")
    return {
        "path": path.rstrip("/") or "/",
        "is_dir": directory,
        "file_size": 0 if directory else info["size"],
        "modification_time": info["modificationTime"],
    }
