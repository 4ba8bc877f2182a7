"""Notebook files: Databricks source format (.py, .sql), .ipynb, and plain Python files as one cell.

Source format: https://docs.databricks.com/notebooks/notebook-export-import.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

SEPARATOR = "COMMAND ----------"
ENDINGS = (".py", ".ipynb", ".sql", ".scala", ".r", ".R")
"""Of notebook files."""
LANGUAGES = ("python", "sql", "scala", "r", "md", "sh", "fs", "run", "pip")


@dataclass(frozen=True)
class Cell:
    """One cell that is not empty.

    n         1, 2, 3, ... within its notebook
    language  one of LANGUAGES
    source    the text as a person sees it, with its %magic line
    code      what is executed: for magics, the text after %magic
    title     "" if it has none
    """

    n: int
    language: str
    source: str
    code: str
    title: str = ""


class NotANotebook(ValueError):
    """A file that cannot be read as a notebook: names the file and why."""


def parse(name: str, data: bytes) -> list[Cell]:
    """The cells of a notebook file; its name's ending says what it is (none: Python source). Raises NotANotebook."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise NotANotebook(f"{name} is not UTF-8 text: {error}") from None
    if name.endswith(".ipynb"):
        return _cells(*_from_ipynb(name, text))
    return _cells(*_from_source(name, text))


Draft = tuple[str, str]
"""Title and source of a cell."""


def _from_source(name: str, text: str) -> tuple[str, list[Draft]]:
    language = {"sql": "sql", "scala": "scala", "r": "r"}.get(name.rpartition(".")[2].lower(), "python")
    header = re.match(r"\s*(#|--|//) Databricks notebook source[ \t]*(\n|\Z)", text)
    if not header:
        return language, [("", text)]
    mark = header[1]
    if mark != "#":
        language = "sql" if mark == "--" else "scala"
    drafts = []
    for block in re.split(rf"^{re.escape(mark)} {SEPARATOR}[ \t]*$", text[header.end() :], flags=re.MULTILINE):
        title, lines = "", []
        for line in block.split("\n"):
            if found := re.match(rf"{re.escape(mark)} DBTITLE \d+,(.*)", line):
                title = found[1].strip()
            elif found := re.match(rf"{re.escape(mark)} MAGIC(?: (.*)|\t.*|)$", line):
                lines.append(found[1] or "")
            else:
                lines.append(line)
        drafts.append((title, "\n".join(lines)))
    return language, drafts


def _from_ipynb(name: str, text: str) -> tuple[str, list[Draft]]:
    try:
        notebook = json.loads(text)
        version = int(notebook.get("nbformat", 4))
        cells = notebook["cells"] if version >= 4 else [c for sheet in notebook["worksheets"] for c in sheet["cells"]]
        language = _notebook_language(notebook.get("metadata", {}))
        return language, [_from_ipynb_cell(cell, language) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotANotebook(f"{name} is not a Jupyter notebook (nbformat 3 or 4): {error!r}") from None


def _notebook_language(metadata: dict[str, Any]) -> str:
    databricks = metadata.get("application/vnd.databricks.v1+notebook", {}).get("language")
    language = databricks or metadata.get("language_info", {}).get("name") or "python"
    return language.lower() if language.lower() in LANGUAGES else "python"


def _from_ipynb_cell(cell: dict[str, Any], language: str) -> Draft:
    source = cell["source"] if "source" in cell else cell["input"]
    text = ("".join(source) if isinstance(source, list) else source).replace("\r\n", "\n")
    metadata = cell.get("metadata", {})
    databricks = metadata.get("application/vnd.databricks.v1+cell", {})
    title = databricks.get("title", "") if databricks.get("showTitle", True) else ""
    own = metadata.get("vscode", {}).get("languageId", language)
    if cell["cell_type"] != "code":
        text = f"%md\n{text}" if text.strip() and not text.lstrip().startswith("%md") else text
    elif own != language and own in LANGUAGES and not text.lstrip().startswith("%"):
        text = f"%{own}\n{text}"
    return title, text


def _cells(language: str, drafts: list[Draft]) -> list[Cell]:
    cells: list[Cell] = []
    for title, draft in drafts:
        source = _without_blank_edges(draft)
        if source:
            cells.append(Cell(len(cells) + 1, *_read(source, language), title=title))
    return cells


def _without_blank_edges(text: str) -> str:
    """Without blank lines above and below; keeps the indentation of the first line."""
    return re.sub(r"\A(?:[^\S\n]*\n)+", "", text).rstrip()


def _read(source: str, language: str) -> tuple[str, str, str]:
    """Language, source and code: the first line that is neither blank nor a comment may name another language.

    %run and %pip count only if they are alone in the cell, with their arguments beside or below them; among other lines
    they are IPython's.
    """
    found = re.match(r"(?:[^\S\n]*(?:(?:#|--)[^\n]*)?\n)*[^\S\n]*%%?([\w-]+)(?=\s|\Z)[^\S\n]*", source)
    if found:
        magic = found[1].lower().removesuffix("-sandbox")
        code = source[found.end() :]
        if magic in ("run", "pip"):
            given = [line.strip() for line in code.split("\n") if line.strip() and not line.lstrip().startswith("#")]
            return (magic, source, "".join(given)) if len(given) < 2 else ("python", source, source)
        if magic in LANGUAGES:
            return magic, source, code.removeprefix("\n")
        return "python", source, source
    return language, source, source
