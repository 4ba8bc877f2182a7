"""The workspace's folders, notebooks and files, stored on disk exactly as uploaded.

A notebook's path has no ending (`/Users/x/load` is the file `Users/x/load.py`), as on Databricks; here the path
with its ending works too. `/Workspace/Users/x` is the same as `/Users/x`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.databricks.notebook.format import ENDINGS
from services.databricks.workspace.errors import (
    ApiError,
    already_exists,
    does_not_exist,
    invalid_parameter,
)
from services.databricks.workspace.store import Store

LANGUAGES = {".py": "PYTHON", ".sql": "SQL", ".scala": "SCALA", ".r": "R"}
_HEADERS = (b"# Databricks notebook source", b"-- Databricks notebook source", b"// Databricks notebook source")


@dataclass(frozen=True)
class Object:
    """Something in the workspace: ``kind`` is DIRECTORY, NOTEBOOK or FILE; times in milliseconds."""

    path: str
    kind: str
    file: Path
    object_id: int
    created: int
    modified: int
    size: int

    @property
    def language(self) -> str | None:
        """A notebook's language."""
        return LANGUAGES.get(self.file.suffix.lower(), "PYTHON") if self.kind == "NOTEBOOK" else None


class Tree:
    """The workspace below one directory; no path leads outside."""

    def __init__(self, root: Path, store: Store, user: str) -> None:
        self._store = store
        for folder in (f"Users/{user}", "Shared", "Repos"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self._protected = ("/", "/Users", f"/Users/{user}", "/Shared", "/Repos")
        self.root = root.resolve()

    def get(self, path: str) -> Object:
        """What is at a path; raises ApiError if there is nothing."""
        found = self._find(path)
        if found is None:
            raise does_not_exist(f"Path ({path}) doesn't exist.")
        return found

    def list(self, path: str) -> Iterator[Object]:
        """What is in a folder, by name; a notebook or file gives itself."""
        found = self.get(path)
        if found.kind != "DIRECTORY":
            yield found
            return
        for file in sorted(found.file.iterdir()):
            if not file.is_symlink() and not file.name.startswith(".uploading-"):
                yield self._object(file)

    def is_notebook(self, path: str) -> bool:
        """Whether there is a notebook at a path."""
        try:
            found = self._find(path)
        except ApiError:
            return False
        return found is not None and found.kind == "NOTEBOOK"

    def notebook_path(self, path: str) -> str:
        """A notebook's path as Databricks writes it: from the root, without its ending."""
        return self.get(path).path

    def make_folder(self, path: str) -> None:
        """Create a folder and those above it; harmless if it exists."""
        folder = self._resolve(path)
        for step in [folder, *folder.parents]:
            if step.is_file() or (not step.exists() and self._notebook_file(step)):
                raise already_exists(f"{self._path(step)} already exists and it is not a folder")
            if step == self.root:
                break
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, ending: str, content: bytes, overwrite: bool) -> Object:
        """Store a notebook, whose ``ending`` says its format, or (without one) a file. Raises ApiError if it exists."""
        kind = "NOTEBOOK" if ending else "FILE"
        plain = self._resolve(path)
        if plain == self.root:
            raise invalid_parameter(f"Path ({path}) is the root of the workspace.")
        if not plain.parent.is_dir():
            raise does_not_exist(f"The parent folder ({self._path(plain.parent)}) does not exist.")
        file = plain if plain.name.lower().endswith(ending) else plain.with_name(plain.name + ending)
        bare = file.with_name(file.name[: len(file.name) - len(ending)]) if ending else file
        if file.is_dir() or (kind == "NOTEBOOK" and bare.is_dir()):
            raise already_exists(f"{self._path(bare)} already exists and it is a folder")
        others = [bare.with_name(bare.name + e) for e in ENDINGS] if kind == "NOTEBOOK" else []
        taken = [other for other in {file, *others} if other.is_file()]
        if taken and not overwrite:
            raise already_exists(f"Path ({self._path(bare)}) already exists.")
        try:
            partial = file.with_name(f".uploading-{self._store.new_id()}")
            partial.write_bytes(content)
            partial.replace(file)
        except OSError as error:
            raise invalid_parameter(f"Path ({path}) cannot be stored: {error.strerror}.") from None
        for other in taken:
            if other != file and not other.samefile(file):
                other.unlink()
                self._store.delete_objects(self._key(other))
        self._store.keep_object(self._key(file), kind)
        return self._object(file)

    def delete(self, path: str, recursive: bool) -> None:
        """Delete a notebook, a file, or a folder with what is in it."""
        found = self.get(path)
        if found.path in self._protected:
            raise ApiError(400, "DIRECTORY_PROTECTED", f"Folder ({found.path}) is protected.")
        if found.kind != "DIRECTORY":
            found.file.unlink()
        elif recursive:
            shutil.rmtree(found.file)
        elif any(found.file.iterdir()):
            raise ApiError(400, "DIRECTORY_NOT_EMPTY", f"Folder ({found.path}) is not empty")
        else:
            found.file.rmdir()
        self._store.delete_objects(self._key(found.file))

    def _find(self, path: str) -> Object | None:
        exact = self._resolve(path)
        if exact.is_dir():
            return self._object(exact)
        notebook = self._notebook_file(exact)
        if notebook:
            return self._object(notebook)
        return self._object(exact) if exact.is_file() else None

    def _notebook_file(self, bare: Path) -> Path | None:
        for ending in ENDINGS:
            file = bare.with_name(bare.name + ending)
            if file.is_file() and not file.is_symlink() and self._kind(file) == "NOTEBOOK":
                return file
        return None

    def _resolve(self, path: str) -> Path:
        """The file of a path, below the root; raises ApiError for a path that leads elsewhere."""
        if not path.startswith("/"):
            raise invalid_parameter(f"Path ({path}) doesn't start with '/'")
        parts = [part for part in path.split("/") if part]
        if parts[:1] == ["Workspace"]:
            parts = parts[1:]
        if any(part in (".", "..") or "\0" in part or len(part.encode()) > 240 for part in parts):
            raise invalid_parameter(f"Path ({path}) is not a path of the workspace.")
        place = self.root.joinpath(*parts)
        # resolve() follows symbolic links: if one is on the way, the result differs.
        if place.resolve() != place:
            raise invalid_parameter(f"Path ({path}) leads through a symbolic link.")
        return place

    def _object(self, file: Path) -> Object:
        directory = file.is_dir()
        kind = "DIRECTORY" if directory else self._kind(file)
        object_id, _, created = self._store.object_of(self._key(file))
        path = self._path(file.with_suffix("") if kind == "NOTEBOOK" else file)
        status = file.stat()
        return Object(path, kind, file, object_id, created, status.st_mtime_ns // 1_000_000, status.st_size)

    def _kind(self, file: Path) -> str:
        """NOTEBOOK or FILE: as it was imported; else a notebook is what has Databricks' first line, or is .ipynb."""
        _, kind, _ = self._store.object_of(self._key(file))
        if kind:
            return kind
        if file.suffix == ".ipynb":
            return "NOTEBOOK"
        if file.suffix not in ENDINGS:
            return "FILE"
        with file.open("rb") as lines:
            return "NOTEBOOK" if has_header(lines.read(256)) else "FILE"

    def _key(self, file: Path) -> str:
        return str(file.relative_to(self.root))

    def _path(self, file: Path) -> str:
        relative = file.relative_to(self.root).as_posix()
        return "/" if relative == "." else f"/{relative}"


def has_header(content: bytes) -> bool:
    """Whether a source file says in its first line that it is a notebook."""
    return content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_HEADERS)
