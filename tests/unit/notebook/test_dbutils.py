"""The parts of dbutils that need no cluster."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from services.databricks.notebook.dbutils import Credentials, Library, NotebookUtils
from services.databricks.notebook.document import Document
from services.databricks.notebook.filesystem import FileSystem
from services.databricks.notebook.widgets import Widgets

DOCUMENT = Document(7, "/Users/me/nb", Path("/w"), "sc://h:1", "cluster", "http://h:2", Path("/o"))


class Control:
    """The control endpoint, which writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, path: str, /, **values: Any) -> Any:
        self.asked.append((path, values))
        return {}

    def upload(self, path: str, file: io.BytesIO) -> None:
        raise AssertionError("nothing is uploaded here")


def test_update_mount_asks_for_another_source_of_the_same_mount() -> None:
    control = Control()
    fs = FileSystem(control)  # type: ignore[arg-type]
    assert fs.updateMount("s3a://other", "/mnt/m", extra_configs={"a": "b"})
    wanted = {"source": "s3a://other", "mount_point": "/mnt/m", "encryption_type": "", "extra_configs": {"a": "b"}}
    assert control.asked == [("/mounts/update", wanted)]


def test_get_context_is_that_of_the_run() -> None:
    notebook = NotebookUtils(DOCUMENT, None)  # type: ignore[arg-type]
    assert notebook.getContext().notebookPath().get() == "/Users/me/nb"


def test_remove_all_removes_all_widgets_and_keeps_what_the_job_gave() -> None:
    widgets = Widgets({"given": "g"})
    widgets.text("own", "o")
    widgets.removeAll()
    assert widgets.getAll() == {"given": "g"}


def test_install_pypi_is_refused_and_names_pip() -> None:
    library = Library()
    with pytest.raises(NotImplementedError, match="Use %pip install"):
        library.installPyPI("requests")


def test_roles_are_taken_without_effect() -> None:
    credentials = Credentials()
    assert credentials.assumeRole("arn:aws:iam::1:role/x")
    assert (credentials.showCurrentRole(), credentials.showRoles()) == ([], [])
