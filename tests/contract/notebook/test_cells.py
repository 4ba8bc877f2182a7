"""Cells are read and run as a Databricks notebook does it."""

from __future__ import annotations

import json

from tests.contract.notebook.bench import Bench


def test_an_empty_notebook_succeeds_without_a_value(bench: Bench) -> None:
    ended = bench.run(bench.file("/Users/me/empty.py", "# Databricks notebook source\n")[:-3])
    assert (ended.status, ended.state, ended.value) == (0, "SUCCESS", None)


def test_the_first_event_names_the_cells(bench: Bench) -> None:
    ended = bench.cells("x = 1", "# DBTITLE 1,Look\n# MAGIC %sql\n# MAGIC select 1").ok()
    first = ended.events[0]
    assert first["type"] == "notebook"
    assert [(c["n"], c["language"], c["title"], c["source"]) for c in first["cells"]] == [
        (1, "python", "", "x = 1"),
        (2, "sql", "Look", "%sql\nselect 1"),
    ]


def test_python_is_read_as_ipython_reads_it(bench: Bench) -> None:
    ended = bench.cells(
        "  import asyncio\n  !echo from the shell\n  files = !echo one two\n  files",
        "6 * 7",
        "6 * 7;",
        "await asyncio.sleep(0, 'awaited')",
        "%time x = 1\n%matplotlib inline\n%config InlineBackend.figure_format = 'png'\n"
        "%load_ext autoreload\n%autoreload 2",
        "%%time\nprint('timed')",
        "str.upper?",
    ).ok()
    assert ended.printed(1) == "from the shell\n"
    assert [each["text"] for each in ended.shown(1) + ended.shown(2) + ended.shown(4)] == [
        "['one two']",
        "42",
        "'awaited'",
    ]
    assert ended.shown(3) == []
    assert "Wall time" in ended.printed(5) and ended.printed(6).startswith("timed\n")
    assert "uppercase" in ended.printed(7) + str(ended.shown(7))


def test_what_processes_and_descriptors_print_belongs_to_the_cell(bench: Bench) -> None:
    ended = bench.cells(
        "import os, subprocess, sys\nos.write(1, b'raw\\n')\nsubprocess.run(['echo', 'child'])\n"
        "print('fehler', file=sys.stderr)\nprint('é', end='')",
        "print('second')",
    ).ok()
    assert ended.printed(1) == "raw\nchild\né"
    assert ended.printed(1, "stderr") == "fehler\n"
    assert ended.printed(2) == "second\n"


def test_a_jupyter_notebook_runs(bench: Bench) -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "text"]},
        {"cell_type": "code", "metadata": {}, "source": ["x = 20\n", "x + 1"], "outputs": [], "execution_count": 1},
        {"cell_type": "code", "metadata": {}, "source": "%sql\nselect 5 as five", "outputs": [{"output_type": "x"}]},
    ]
    document = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    bench.file("/Users/me/my notebook.ipynb", document)
    ended = bench.run("/Users/me/my notebook").ok()
    assert ended.shown(2)[0]["text"] == "21"
    assert ended.shown(3)[0]["rows"] == [[5]]


def test_a_sql_notebook_runs(bench: Bench) -> None:
    bench.file(
        "/Users/me/questions.sql",
        "-- Databricks notebook source\nselect 1 as a\n\n-- COMMAND ----------\n\n"
        "-- MAGIC %python\n-- MAGIC print(_sqldf.collect()[0].a)\n",
    )
    ended = bench.run("/Users/me/questions").ok()
    assert ended.shown(1)[0]["rows"] == [[1]]
    assert ended.printed(2) == "1\n"


def test_a_plain_python_file_is_one_cell(bench: Bench) -> None:
    bench.file("/Users/me/plain.py", "\ufeffimport os\r\nif True:\r\n\tprint('tabs and CRLF')\r\n")
    ended = bench.run("/Users/me/plain.py").ok()
    assert ended.printed(1) == "tabs and CRLF\n"


def test_a_notebook_that_is_not_there_fails_in_databricks_words(bench: Bench) -> None:
    ended = bench.run("/Users/me/missing")
    assert ended.state == "FAILED" and ended.status == 0
    assert 'Unable to access the notebook "/Users/me/missing"' in ended.error


def test_output_beyond_10_mb_is_cut_and_the_run_goes_on(bench: Bench) -> None:
    ended = bench.cells(
        "line = 'x' * 99\nfor _ in range(500_000):\n    print(line)",
        # Not the peak that getrusage tells: a process inherits that of its parent, here of the whole test run.
        "import psutil\nprint(psutil.Process().memory_info().rss // 2**20)",
    ).ok()
    assert len(ended.printed(1)) == 10 * 1024 * 1024
    assert "output of this cell is cut" in ended.printed(1, "stderr")
    assert int(ended.printed(2)) < 400


def test_modules_of_this_package_are_not_in_the_notebooks_way(bench: Bench) -> None:
    bench.file("/Users/me/own/services/__init__.py", "")
    bench.file("/Users/me/own/services/databricks.py", "NAME = 'mine'\n")
    path = bench.notebook(
        "/Users/me/own/nb", "from services.databricks import NAME\nprint(NAME)", "print(sorted(dir()))"
    )
    ended = bench.run(path).ok()
    assert ended.printed(1) == "mine\n"
    names = {name for name in json.loads(ended.printed(2).replace("'", '"')) if not name.startswith("_")}
    assert names <= {
        *("spark", "sc", "sqlContext", "dbutils", "display", "displayHTML", "sql", "table", "udf", "getArgument"),
        *("In", "Out", "exit", "quit", "get_ipython", "open", "NAME"),
    }
