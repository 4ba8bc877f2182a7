"""Folders, notebooks and files through the Workspace API."""

from __future__ import annotations

import base64
import io
import json

import pytest
from databricks.sdk.errors import BadRequest, NotFound, ResourceAlreadyExists
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language, ObjectType

from tests.contract.workspace.conftest import HOME, Client, Service

SOURCE = b"# Databricks notebook source\nprint(1)\n\n# COMMAND ----------\n\n# MAGIC %sql\n# MAGIC select 1\n"
JUPYTER = json.dumps(
    {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "text"]},
            {"cell_type": "code", "metadata": {}, "source": ["x = 1\n", "x"], "outputs": [], "execution_count": 1},
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
).encode()


def upload(client: Client, path: str, content: bytes, **options: object) -> None:
    client.workspace.upload(path, io.BytesIO(content), **options)


def test_a_notebook_comes_back_as_it_was_uploaded(client: Client) -> None:
    upload(client, f"{HOME}/as is", SOURCE, language=Language.PYTHON)
    status = client.workspace.get_status(f"{HOME}/as is")
    assert (status.object_type, status.language) == (ObjectType.NOTEBOOK, Language.PYTHON)
    assert status.object_id and status.created_at and status.modified_at
    assert client.workspace.download(f"{HOME}/as is").read() == SOURCE
    exported = client.workspace.export(f"{HOME}/as is", format=ExportFormat.SOURCE)
    assert base64.b64decode(exported.content) == SOURCE


def test_a_json_import_in_base64_does_the_same(client: Client) -> None:
    encoded = base64.b64encode(SOURCE).decode()
    client.workspace.import_(f"{HOME}/in json", content=encoded, format=ImportFormat.SOURCE, language=Language.PYTHON)
    assert client.workspace.download(f"{HOME}/in json").read() == SOURCE


@pytest.mark.parametrize("asked", ["plain", "plain.py", "/Workspace"])
def test_a_notebook_is_found_with_and_without_its_ending(client: Client, asked: str) -> None:
    upload(client, f"{HOME}/plain.py", SOURCE, format=ImportFormat.AUTO, overwrite=True)
    path = f"/Workspace{HOME}/plain" if asked == "/Workspace" else f"{HOME}/{asked}"
    assert client.workspace.get_status(path).path == f"{HOME}/plain"


def test_auto_tells_notebooks_from_files(client: Client) -> None:
    client.workspace.mkdirs(f"{HOME}/auto")
    upload(client, f"{HOME}/auto/notebook.py", SOURCE, format=ImportFormat.AUTO)
    upload(client, f"{HOME}/auto/module.py", b"answer = 42\n", format=ImportFormat.AUTO)
    upload(client, f"{HOME}/auto/jupyter.ipynb", JUPYTER, format=ImportFormat.AUTO)
    upload(client, f"{HOME}/auto/data.csv", b"a,b\n", format=ImportFormat.AUTO)
    listed = {each.path.rpartition("/")[2]: each.object_type for each in client.workspace.list(f"{HOME}/auto")}
    assert listed == {
        "notebook": ObjectType.NOTEBOOK,
        "jupyter": ObjectType.NOTEBOOK,
        "module.py": ObjectType.FILE,
        "data.csv": ObjectType.FILE,
    }
    assert client.workspace.download(f"{HOME}/auto/module.py", format=ExportFormat.AUTO).read() == b"answer = 42\n"


def test_python_without_the_header_imported_as_source_is_a_notebook(client: Client) -> None:
    upload(client, f"{HOME}/headless", b"print(1)\n", format=ImportFormat.SOURCE, language=Language.PYTHON)
    assert client.workspace.get_status(f"{HOME}/headless").object_type == ObjectType.NOTEBOOK


def test_jupyter_becomes_source_and_back(client: Client) -> None:
    upload(client, f"{HOME}/from jupyter", JUPYTER, format=ImportFormat.JUPYTER)
    source = client.workspace.download(f"{HOME}/from jupyter", format=ExportFormat.SOURCE).read().decode()
    assert source == (
        "# Databricks notebook source\n# MAGIC %md\n# MAGIC # Title\n# MAGIC text\n\n# COMMAND ----------\n\nx = 1\nx\n"
    )
    upload(client, f"{HOME}/to jupyter", source.encode(), language=Language.PYTHON)
    back = json.loads(client.workspace.download(f"{HOME}/to jupyter", format=ExportFormat.JUPYTER).read())
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in back["cells"]] == [
        ("markdown", "# Title\ntext"),
        ("code", "x = 1\nx"),
    ]


def test_overwriting_needs_saying_so_and_replaces_another_format(client: Client) -> None:
    upload(client, f"{HOME}/twice", SOURCE, language=Language.PYTHON)
    with pytest.raises(ResourceAlreadyExists, match="already exists"):
        upload(client, f"{HOME}/twice", SOURCE, language=Language.PYTHON)
    upload(client, f"{HOME}/twice", JUPYTER, format=ImportFormat.JUPYTER, overwrite=True)
    assert [each.path for each in client.workspace.list(HOME) if "twice" in each.path] == [f"{HOME}/twice"]
    assert client.workspace.download(f"{HOME}/twice", format=ExportFormat.JUPYTER).read() == JUPYTER


def test_the_parent_folder_must_be_there(client: Client) -> None:
    with pytest.raises(NotFound, match=r"The parent folder \(/Users/local@pinflow/no/where\) does not exist"):
        upload(client, f"{HOME}/no/where/x", SOURCE, language=Language.PYTHON)


@pytest.mark.parametrize(
    "content, kind, message",
    [
        (b"not a notebook", "JUPYTER", "not a Jupyter notebook"),
        (b"PK..", "DBC", "Importing DBC .use SOURCE, JUPYTER, AUTO or RAW"),
        (b"x", "HTML", "Importing HTML"),
    ],
)
def test_what_cannot_be_imported_is_refused(client: Client, content: bytes, kind: str, message: str) -> None:
    with pytest.raises(DatabricksError, match=message):
        upload(client, f"{HOME}/refused", content, format=ImportFormat(kind))
    with pytest.raises(NotFound):
        client.workspace.get_status(f"{HOME}/refused")


def test_folders_are_made_listed_and_deleted(client: Client) -> None:
    client.workspace.mkdirs(f"{HOME}/Ordner mit Ümläuten/日本/deep")
    client.workspace.mkdirs(f"{HOME}/Ordner mit Ümläuten/日本/deep")
    upload(client, f"{HOME}/Ordner mit Ümläuten/日本/deep/nb", SOURCE, language=Language.PYTHON)
    found = list(client.workspace.list(f"{HOME}/Ordner mit Ümläuten", recursive=True))
    assert [each.path for each in found] == [f"{HOME}/Ordner mit Ümläuten/日本/deep/nb"]
    with pytest.raises(BadRequest) as caught:
        client.workspace.delete(f"{HOME}/Ordner mit Ümläuten")
    assert caught.value.error_code == "DIRECTORY_NOT_EMPTY"
    client.workspace.delete(f"{HOME}/Ordner mit Ümläuten", recursive=True)
    with pytest.raises(NotFound, match="doesn't exist"):
        client.workspace.get_status(f"{HOME}/Ordner mit Ümläuten")


def test_a_folder_cannot_be_made_over_a_notebook(client: Client) -> None:
    upload(client, f"{HOME}/in the way", SOURCE, language=Language.PYTHON)
    with pytest.raises(ResourceAlreadyExists, match="already exists and it is not a folder"):
        client.workspace.mkdirs(f"{HOME}/in the way/below")


def test_the_workspaces_own_folders_stay(client: Client) -> None:
    for path in ("/", "/Users", HOME, "/Workspace/Shared"):
        with pytest.raises(BadRequest) as caught:
            client.workspace.delete(path, recursive=True)
        assert caught.value.error_code == "DIRECTORY_PROTECTED"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/../outside",
            f"{HOME}/../../../../outside",
            "/Users/./x",
            "relative",
            "",
            "/a\0b",
            "/" + "x" * 300,
            "/link/x",
        ),
        f"{HOME}/half a character \ud800",
    ],
)
def test_no_path_leads_out_of_the_workspace(service: Service, path: str) -> None:
    link = service.home / "workspace" / "link"
    if not link.is_symlink():
        link.symlink_to("/tmp")
    for call, body in (("mkdirs", {}), ("delete", {"recursive": True}), ("import", {"content": "", "format": "RAW"})):
        answer = service.call("POST", f"/api/2.0/workspace/{call}", json={"path": path, **body})
        assert answer.status_code in (400, 404), answer.text
    assert service.call("GET", "/api/2.0/workspace/export", json={"path": path}).status_code in (400, 404)


def test_a_file_put_into_the_folder_by_hand_is_an_object_too(client: Client, service: Service) -> None:
    folder = service.home / "workspace" / HOME.lstrip("/")
    (folder / "by hand.py").write_bytes(SOURCE)
    assert client.workspace.get_status(f"{HOME}/by hand").object_type == ObjectType.NOTEBOOK
