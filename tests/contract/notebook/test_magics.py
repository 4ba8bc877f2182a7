"""Databricks' magics."""

from __future__ import annotations

import pytest

from tests.contract.notebook.bench import Bench


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/Users/me/run/helpers", "%run ./helpers"),
        ("/Users/me/shared helpers", "%run ../shared helpers"),
        ("/Users/me/shared helpers", '%run "../shared helpers"'),
        ("/Users/me/abs", "%run /Users/me/abs"),
        ("/Repos/me/project/lib/tools", "%run /Workspace/Repos/me/project/lib/tools"),
        ("/Repos/me/project/lib/tools", "# a comment\n%run '/Repos/me/project/lib/tools'"),
    ],
)
def test_run_includes_a_notebook(bench: Bench, path: str, line: str) -> None:
    bench.notebook(path, "helper = 'helped'")
    cell = "\n".join(f"# MAGIC {each}" if each.startswith("%") else each for each in line.split("\n"))
    ended = bench.run(bench.notebook("/Users/me/run/main", cell, "print(helper)")).ok()
    assert ended.printed() == "helped\n"


def test_run_is_nested_relative_to_each_notebook_and_passes_parameters(bench: Bench) -> None:
    bench.notebook("/Users/me/nest/deep/inner", "got = dbutils.widgets.get('env') + spark.range(1).count().__str__()")
    bench.notebook("/Users/me/nest/deep/middle", "# MAGIC %run ./inner")
    path = bench.notebook(
        "/Users/me/nest/main", "env = 'not this'", '# MAGIC %run ./deep/middle $env="prod one"', "print(got)"
    )
    assert bench.run(path).ok().printed() == "prod one1\n"


def test_an_error_below_run_ends_the_notebook_and_names_its_place(bench: Bench) -> None:
    bench.notebook("/Users/me/broken", "x = 1", "1 / 0")
    ended = bench.cells("# MAGIC %run ./broken", "print('never')")
    assert ended.state == "FAILED" and ended.error == "ZeroDivisionError: division by zero"
    assert [e["cell"] for e in ended.of("error")] == [1]
    assert "/Users/me/broken Cell In[2], line 1" in ended.result["error_trace"]
    assert "never" not in ended.printed()


def test_run_of_a_missing_notebook_says_so(bench: Bench) -> None:
    ended = bench.cells("# MAGIC %run ./nowhere")
    assert ended.state == "FAILED" and 'Unable to access the notebook "/Users/me/nowhere"' in ended.error


def test_sql_shows_the_last_statement_and_leaves_it_as_sqldf(bench: Bench) -> None:
    ended = bench.cells(
        "# MAGIC %sql\n# MAGIC create or replace temp view v as select 'a;b' as x; -- first;\n# MAGIC select x from v;",
        "print(_sqldf.collect()[0].x)",
    ).ok()
    (table,) = ended.shown(1)
    assert (table["columns"], table["rows"]) == ([{"name": "x", "type": "string"}], [["a;b"]])
    assert ended.printed(2) == "a;b\n"


def test_sql_sees_widgets(bench: Bench) -> None:
    ended = bench.cells(
        "# MAGIC %sql\n# MAGIC create widget text country default 'Albania'",
        "# MAGIC %sql\n# MAGIC select :country as a, '${country}' as b, $country as c from (select 1 as Albania)",
    ).ok()
    assert ended.shown(2)[0]["rows"] == [["Albania", "Albania", 1]]


def test_an_error_in_sql_fails_the_cell(bench: Bench) -> None:
    ended = bench.cells("# MAGIC %sql\n# MAGIC select * from no_such_table")
    assert ended.state == "FAILED"
    assert "TABLE_OR_VIEW_NOT_FOUND" in ended.error and "JVM stacktrace" not in ended.error


def test_sh_runs_bash_and_fails_only_with_e(bench: Bench) -> None:
    ended = bench.cells(
        "# MAGIC %sh\n# MAGIC x=3\n# MAGIC echo $x $((x+1))\n# MAGIC false", "# MAGIC %sh -e\n# MAGIC false"
    )
    assert ended.printed(1) == "3 4\n"
    assert ended.state == "FAILED" and ended.of("cell_end", 2)[0]["status"] == "error"


def test_fs_lists_as_a_table(bench: Bench) -> None:
    ended = bench.cells(
        'dbutils.fs.put("/magic/a.txt", "12345", True)', "# MAGIC %fs ls /magic", "%fs rm -r /magic"
    ).ok()
    (table,) = ended.shown(2)
    assert table["rows"][0][:3] == ["dbfs:/magic/a.txt", "a.txt", 5]
    assert ended.printed(3) == "true\n"


def test_pip_passes_what_is_there_and_fails_clearly_what_is_not(bench: Bench) -> None:
    ended = bench.cells(
        "# MAGIC %pip install pandas boto3",
        "# MAGIC %pip install -q --no-index no-such-library-of-pinflow",
        "print('never')",
    )
    assert ended.printed(1).count("Requirement already satisfied") == 2
    assert ended.state == "FAILED" and "%pip install" in ended.error and "network" in ended.error


def test_pip_installs_for_this_run_only(bench: Bench) -> None:
    bench.file("/Users/me/lib/pyproject.toml", "")
    bench.file("/Users/me/lib/setup.py", "from setuptools import setup\nsetup(name='x', py_modules=['x'])\n")
    wheel = bench.workspace / "Users/me/tiny-1.0-py3-none-any.whl"
    _wheel(str(wheel))
    ended = bench.cells(
        f"# MAGIC %pip install --no-index {wheel}", "import tiny\nprint(tiny.WORD)\ndbutils.library.restartPython()"
    ).ok()
    assert ended.printed(2) == "tiny word\n"
    assert bench.cells("import tiny").state == "FAILED"


def test_pip_installs_another_version_of_what_the_cluster_has(bench: Bench) -> None:
    home = bench.workspace / "Users/me/wheels"
    home.mkdir(parents=True)
    for name, needs in (("colour", "six<1"), ("six", "")):
        _wheel(str(home / f"{name}-0.9-py3-none-any.whl"), name, "0.9", needs)
    ended = bench.cells(
        f"# MAGIC %pip install --no-index --find-links {home} SIX~=0.9  # an older one",
        "import importlib.metadata\nprint(importlib.metadata.version('six'))",
    ).ok()
    assert ended.printed(2) == "0.9\n"
    ended = bench.cells(f"# MAGIC %pip install --no-index --find-links {home} colour")
    assert ended.state == "FAILED" and "conflict" in ended.printed(1) + ended.printed(1, "stderr")


@pytest.mark.parametrize("language", ["scala", "r"])
def test_other_languages_are_refused_clearly(bench: Bench, language: str) -> None:
    ended = bench.cells(f"# MAGIC %{language}\n# MAGIC val x = 1")
    assert ended.state == "FAILED" and "cells do not run here" in ended.error


def _wheel(path: str, name: str = "tiny", version: str = "1.0", needs: str = "") -> None:
    import zipfile

    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"WORD = '{name} word'\n")
        wheel.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {needs}\n" if needs else ""))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n")
