"""Workspace paths as files: /Users/..., /Repos/..., /Shared/..., with or without /Workspace before them."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import posixpath
import sys
from dataclasses import dataclass
from pathlib import Path

from .format import ENDINGS, Cell, parse


class NotebookNotFound(Exception):
    """In Databricks' words."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f'Unable to access the notebook "{path}". Either it does not exist, or the identity used to run this job, '
            "lacks the required permissions."
        )


@dataclass(frozen=True)
class Workspace:
    """The directory that holds the workspace's files, exactly as they were uploaded."""

    root: Path

    def file(self, path: str) -> Path:
        """The file of a workspace path."""
        return self.root / _plain(path).lstrip("/")

    def absolute(self, path: str, notebook: str) -> str:
        """A path that a notebook names, relative to its folder: ./x, ../x, x, /Users/x."""
        return _plain(posixpath.normpath(posixpath.join(posixpath.dirname(_plain(notebook)), path)))

    def notebook(self, path: str) -> Path:
        """The file of a notebook, named with or without its ending. Raises NotebookNotFound."""
        plain = _plain(path)
        for candidate in (*(self.file(plain + ending) for ending in ENDINGS), self.file(plain)):
            if candidate.is_file():
                return candidate
        raise NotebookNotFound(path)

    def cells(self, path: str) -> list[Cell]:
        """The cells of a notebook. Raises NotebookNotFound, NotANotebook."""
        file = self.notebook(path)
        return parse(file.name, file.read_bytes())

    def import_path(self, notebook: str) -> list[str]:
        """What Databricks adds to sys.path: the notebook's folder, and the root of its Git folder."""
        file = self.notebook(notebook)
        parts = file.relative_to(self.root).parts
        paths = [file.parent]
        if parts[0] == "Repos" and len(parts) > 3:
            paths.append(self.root / Path(*parts[:3]))
        return [str(path) for path in dict.fromkeys(paths)]

    def import_from_workspace_paths(self) -> None:
        """Make entries such as sys.path.append("/Workspace/...") mean the workspace's folder."""
        find = importlib.machinery.FileFinder.path_hook(
            (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES),
        )

        def hook(entry: str) -> importlib.abc.PathEntryFinder:
            if not entry.startswith(("/Workspace/", "/Repos/", "/Users/")) or not self.file(entry).is_dir():
                raise ImportError(entry)
            return find(str(self.file(entry)))

        sys.path_hooks.insert(0, hook)


def _plain(path: str) -> str:
    """Without /Workspace, without a slash at the end."""
    plain = posixpath.normpath(path)
    if plain == "/Workspace" or plain.startswith("/Workspace/"):
        plain = plain.removeprefix("/Workspace") or "/"
    return plain
