"""Notebook files become cells."""

from __future__ import annotations

import json

import pytest

from services.databricks.notebook.format import Cell, NotANotebook, parse

HEADER = "# Databricks notebook source\n"


def cells(text: str, name: str = "nb.py") -> list[Cell]:
    return parse(name, text.encode())


def codes(text: str, name: str = "nb.py") -> list[tuple[str, str]]:
    return [(cell.language, cell.code) for cell in cells(text, name)]


def test_cells_stand_between_command_lines() -> None:
    text = HEADER + "x = 1\n\n# COMMAND ----------\n\n\n# COMMAND ----------\n\ny = 2\n"
    assert [(c.n, c.code) for c in cells(text)] == [(1, "x = 1"), (2, "y = 2")]


def test_magic_comments_are_the_language_of_a_cell() -> None:
    text = HEADER + "# MAGIC %sql\n# MAGIC select 1\n# MAGIC\n# MAGIC -- end\n"
    (cell,) = cells(text)
    assert (cell.language, cell.code, cell.source) == ("sql", "select 1\n\n-- end", "%sql\nselect 1\n\n-- end")


@pytest.mark.parametrize(
    ("source", "language", "code"),
    [
        ("%md # Title", "md", "# Title"),
        ("%md-sandbox\n<b>x</b>", "md", "<b>x</b>"),
        ("%sh ls -l\npwd", "sh", "ls -l\npwd"),
        ("%fs ls /mnt", "fs", "ls /mnt"),
        ("%scala\nval x = 1", "scala", "val x = 1"),
        ("%python\nx = 1", "python", "x = 1"),
        ("# why\n\n  %run ./a b\n# that", "run", "./a b"),
        ('%run \n# there\n"/Users/a/b c"', "run", '"/Users/a/b c"'),
        ("%run ./a\nx = 1", "python", "%run ./a\nx = 1"),
        ("%%sql\nselect 1", "sql", "select 1"),
        ("%pip install x", "pip", "install x"),
        ("%pip install x\nimport x", "python", "%pip install x\nimport x"),
        ("%time x = 1", "python", "%time x = 1"),
        ("%runner = 1", "python", "%runner = 1"),
        ("    x = 1\n    y", "python", "    x = 1\n    y"),
    ],
)
def test_a_cell_says_its_language(source: str, language: str, code: str) -> None:
    magic = "\n".join(f"# MAGIC {line}" for line in source.split("\n"))
    assert codes(HEADER + magic) == [(language, code)]
    document = {"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, "source": source}]}
    assert codes(json.dumps(document), "nb.ipynb") == [(language, code)]


def test_titles() -> None:
    (cell,) = cells(HEADER + "# DBTITLE 1,Load, and clean\nx = 1\n")
    assert (cell.title, cell.code) == ("Load, and clean", "x = 1")


def test_sql_notebooks() -> None:
    text = "-- Databricks notebook source\nselect 1\n\n-- COMMAND ----------\n\n-- MAGIC %python\n-- MAGIC x = 1\n"
    assert codes(text, "nb.sql") == [("sql", "select 1"), ("python", "x = 1")]
    assert codes("select 1; select 2", "plain.sql") == [("sql", "select 1; select 2")]


def test_bom_crlf_tabs_and_blanks_at_line_ends() -> None:
    text = "\ufeff# Databricks notebook source\r\nif x:\r\n\ty = '\u2028'\r\n\r\n# COMMAND ---------- \r\n\r\nz\r\n"
    assert codes(text) == [("python", "if x:\n\ty = '\u2028'"), ("python", "z")]


def test_a_plain_python_file_is_one_cell() -> None:
    assert codes("import os\n\n\nprint(os)\n", "plain.py") == [("python", "import os\n\n\nprint(os)")]


def test_jupyter_notebooks_of_format_3_and_4() -> None:
    new = {
        "nbformat": 4,
        "metadata": {"application/vnd.databricks.v1+notebook": {"language": "python"}},
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": ["# A\n", "b"]},
            {
                "cell_type": "code",
                "metadata": {"application/vnd.databricks.v1+cell": {"title": "T"}},
                "source": ["x = 1\n", "x"],
                "outputs": [{"output_type": "stream", "text": "1"}],
            },
            {"cell_type": "code", "metadata": {"vscode": {"languageId": "sql"}}, "source": "select 1"},
            {"cell_type": "code", "metadata": {}, "source": []},
        ],
    }
    found = cells(json.dumps(new), "nb.ipynb")
    assert [(c.language, c.code, c.title) for c in found] == [
        ("md", "# A\nb", ""),
        ("python", "x = 1\nx", "T"),
        ("sql", "select 1", ""),
    ]
    old = {"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1"]}]}]}
    assert codes(json.dumps(old), "nb.ipynb") == [("python", "x = 1")]


def test_a_jupyter_notebook_in_sql() -> None:
    metadata = {"application/vnd.databricks.v1+notebook": {"language": "sql"}}
    document = {
        "nbformat": 4,
        "metadata": metadata,
        "cells": [{"cell_type": "code", "metadata": {}, "source": "select 1"}],
    }
    assert codes(json.dumps(document), "nb.ipynb") == [("sql", "select 1")]


def test_an_empty_notebook_has_no_cells() -> None:
    assert cells(HEADER) == cells("") == cells(HEADER + "\n# COMMAND ----------\n") == []


@pytest.mark.parametrize(
    ("name", "data"), [("nb.ipynb", b"{"), ("nb.ipynb", b"[]"), ("nb.ipynb", b'{"cells": [1]}'), ("nb.py", b"\xff\xfe")]
)
def test_what_is_no_notebook_says_so(name: str, data: bytes) -> None:
    with pytest.raises(NotANotebook, match=name):
        parse(name, data)
