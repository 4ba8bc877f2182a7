"""The notebooks of spark/notebooks, each with what it brings in by `%run`: ruff and mypy know every name in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from foundation.profile import ROOT

NOTEBOOKS = ROOT / "spark" / "notebooks"
PREDEFINED = ("spark", "dbutils", "display", "displayHTML", "sc", "sqlContext", "table", "sql", "udf", "getArgument")
"""What Databricks defines in every notebook."""


def test_names_and_calls_in_notebooks_are_known(tmp_path: Path) -> None:
    predefined = "from typing import Any\n" + "".join(f"{name}: Any = ...\n" for name in PREDEFINED)
    for notebook in NOTEBOOKS.glob("*.py"):
        (tmp_path / notebook.name).write_text(predefined + _with_runs(notebook))
    files = sorted(str(file) for file in tmp_path.iterdir())
    # A notebook that two others run stands twice in the text of what runs both.
    ruff = ["ruff", "check", "--isolated", "--select", "F", "--ignore", "F811", *files]
    mypy = ["mypy", "--allow-untyped-defs", "--allow-untyped-calls", "--disable-error-code=no-redef", *files]
    for command in (ruff, mypy):
        found = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout.replace(str(tmp_path), "spark/notebooks") + found.stderr


def _with_runs(notebook: Path) -> str:
    """The notebook's text with those that it runs by `%run` in their places."""
    return re.sub(
        r"^# MAGIC %run (\S+).*$",
        lambda match: _with_runs((notebook.parent / match[1]).with_suffix(".py")),
        notebook.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
