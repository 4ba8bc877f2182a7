"""Notebook formats: what kind an upload is, and conversion between Databricks source and Jupyter."""

from __future__ import annotations

import json
from typing import Any

from services.databricks.notebook.format import SEPARATOR, Cell, NotANotebook, parse
from services.databricks.workspace.errors import invalid_parameter
from services.databricks.workspace.tree import LANGUAGES, has_header

_HEADER_ENDINGS = {b"#": ".py", b"--": ".sql", b"//": ".scala"}


def ending_of_source(path: str, language: str | None) -> str:
    """The ending of a notebook imported as SOURCE; raises ApiError if its language is unknown."""
    if language:
        for ending, known in LANGUAGES.items():
            if known == language.upper():
                return ending
        raise invalid_parameter(f"language must be one of {', '.join(LANGUAGES.values())}, not {language}.")
    suffix = _suffix(path)
    if suffix in LANGUAGES:
        return suffix
    raise invalid_parameter("language is required to import a notebook in SOURCE format.")


def ending_of_auto(path: str, content: bytes) -> str:
    """The ending of an AUTO import that is a notebook; empty for a file. Content and ending decide."""
    suffix = _suffix(path)
    if suffix == ".ipynb":
        return ".ipynb"
    if not has_header(content):
        return ""
    if suffix in LANGUAGES:
        return suffix
    first = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next(ending for mark, ending in _HEADER_ENDINGS.items() if first.startswith(mark))


def check_jupyter(path: str, content: bytes) -> None:
    """Raise ApiError unless the content can be read as a Jupyter notebook."""
    try:
        parse(f"{path}.ipynb", content)
    except NotANotebook as error:
        raise invalid_parameter(f"The notebook could not be imported: {error}.") from None


def to_source(name: str, content: bytes) -> bytes:
    """A Jupyter notebook as Databricks source (its first line, `# COMMAND ----------`, `# MAGIC %sql`)."""
    blocks = [_source_block(cell) for cell in parse(name, content)]
    return ("# Databricks notebook source\n" + f"\n\n# {SEPARATOR}\n\n".join(blocks) + "\n").encode()


def to_jupyter(name: str, content: bytes) -> bytes:
    """Databricks source as a Jupyter notebook, format 4.0."""
    document = {
        "cells": [_jupyter_cell(cell) for cell in parse(name, content)],
        "metadata": {"language_info": {"name": LANGUAGES.get(_suffix(name), "python").lower()}},
        "nbformat": 4,
        "nbformat_minor": 0,
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _source_block(cell: Cell) -> str:
    lines = cell.source.split("\n")
    if cell.source.lstrip().startswith("%"):
        lines = [f"# MAGIC {line}".rstrip() for line in lines]
    return "\n".join([f"# DBTITLE 1,{cell.title}"] * bool(cell.title) + lines)


def _jupyter_cell(cell: Cell) -> dict[str, Any]:
    if cell.language == "md":
        text = cell.source.partition("%md")[2].removeprefix("-sandbox").lstrip()
        return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": cell.source.splitlines(keepends=True),
    }


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""
