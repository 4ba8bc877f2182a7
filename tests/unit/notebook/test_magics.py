"""Magics that need no cluster, as IPython runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.databricks.notebook.events import Events
from services.databricks.notebook.magics import MAGICS, Magics, register
from services.databricks.notebook.shell import Interpreter


class Pip:
    """In place of pip."""

    def run(self, line: str) -> None:
        raise AssertionError("nothing is installed here")


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    nothing: Any = None
    made = Interpreter()
    made.connect(Events(tmp_path), lambda: None)
    pip: Any = Pip()
    register(made.shell, Magics(nothing, nothing, nothing, pip, nothing, made.namespace))
    return made


def test_every_magic_of_the_table_is_known_to_ipython(interpreter: Interpreter) -> None:
    assert [name for name in MAGICS if interpreter.shell.find_line_magic(name) is None] == []


def test_restart_python_keeps_the_names(interpreter: Interpreter) -> None:
    assert interpreter.run("x = 1\n%restart_python\nassert x == 1", 1) is None


def test_md_does_nothing(interpreter: Interpreter) -> None:
    assert interpreter.run("%md # A title", 1) is None


@pytest.mark.parametrize("cell", ["%r x <- 1", "%scala val x = 1"])
def test_a_language_that_does_not_run_here_is_refused(interpreter: Interpreter, cell: str) -> None:
    failure = interpreter.run(cell, 1)
    assert failure is not None and "cells do not run here" in failure.summary
