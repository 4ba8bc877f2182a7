"""Cells are read as IPython reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.databricks.notebook.events import Events
from services.databricks.notebook.shell import Interpreter, NotebookExit


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return Interpreter()


@pytest.fixture
def told(interpreter: Interpreter, tmp_path: Path) -> Iterator[Path]:
    interpreter.connect(Events(tmp_path), lambda: None)
    yield tmp_path / "events.jsonl"


def shown(told: Path) -> list[str]:
    return [json.loads(line)["text"] for line in told.read_text().splitlines()]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("1 + 1", ["2"]),
        ("1 + 1;", []),
        ("1 + 1  # sum", ["2"]),
        ("x = 5", []),
        ("    a = 1\n    a", ["1"]),
        ("\tif True:\n\t\tb = 2\n\tb", ["2"]),
        ("None", []),
        ("import asyncio\nawait asyncio.sleep(0, 3)", ["3"]),
    ],
)
def test_a_trailing_expression_is_shown(interpreter: Interpreter, told: Path, code: str, expected: list[str]) -> None:
    assert interpreter.run(code, 1) is None
    assert shown(told) == expected


def test_an_error_has_its_cell_and_line_without_colours(interpreter: Interpreter, told: Path) -> None:
    failure = interpreter.run("def f():\n    return 1 / 0\n\nf()", 7)
    assert failure is not None and failure.summary == "ZeroDivisionError: division by zero"
    assert "Cell In[7], line 4" in failure.trace and "Cell In[7], line 2, in f()" in failure.trace
    assert "\x1b" not in failure.trace


def test_a_cell_of_an_included_notebook_is_named_after_it(interpreter: Interpreter, told: Path) -> None:
    with interpreter.within("/Users/me/helpers"):
        failure = interpreter.run("1 / 0", 2)
    assert failure is not None and "/Users/me/helpers Cell In[2], line 1" in failure.trace


@pytest.mark.parametrize("code", ["for in x:", "  x = 1\n y = 2", "return = 3"])
def test_a_syntax_error_is_a_failure(interpreter: Interpreter, told: Path, code: str) -> None:
    failure = interpreter.run(code, 1)
    assert failure is not None and failure.summary.startswith(("SyntaxError", "IndentationError"))


def test_exit_passes_through(interpreter: Interpreter, told: Path) -> None:
    def leave() -> None:
        raise NotebookExit("bye")

    interpreter.namespace["leave"] = leave
    with pytest.raises(NotebookExit, match="bye"):
        interpreter.run("try:\n    leave()\nexcept Exception:\n    pass", 1)
