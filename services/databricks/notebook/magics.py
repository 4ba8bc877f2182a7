"""Databricks' own magics: as the language of a cell, and in a line among Python."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from collections.abc import Callable
from typing import Any

from IPython.core.magic import no_var_expand

from . import sql
from .compat import Shell
from .dbutils import DBUtils
from .pip import Pip

MAGICS = {
    "sql": "real",
    "sh": "real",
    "pip": "real",
    "fs": "stand-in",
    "run": "stand-in",
    "md": "accepted without effect",
    "restart_python": "accepted without effect",
    "scala": "refused",
    "r": "refused",
}
"""Every magic that Databricks adds to IPython's, and what carries it out: Spark, bash or pip, or this package."""

NO_LANGUAGE = {"scala": "Scala", "r": "R"}


class LanguageNotSupported(Exception):
    """A cell in a language that does not run here."""


class ShellCommandFailed(Exception):
    """A %sh -e cell whose command failed."""


class Magics:
    """What the magics need, and one method for each."""

    def __init__(
        self,
        spark: Any,
        dbutils: DBUtils,
        display: Callable[[Any], None],
        pip: Pip,
        include: Callable[[str], None],
        namespace: dict[str, Any],
    ) -> None:
        self._spark, self._dbutils, self._display, self._namespace = spark, dbutils, display, namespace
        self.pip = pip.run
        self._include = include

    def run(self, language: str, code: str) -> None:
        """A cell, or a line among Python, in its language. Raises LanguageNotSupported and what the code raises."""
        if language in NO_LANGUAGE:
            message = "cells do not run here: Spark is used through Spark Connect from Python and SQL only"
            raise LanguageNotSupported(f"{NO_LANGUAGE[language]} {message}")
        if language == "run":
            self._include(code)
        elif language != "md":
            getattr(self, language)(code)

    def sql(self, code: str) -> None:
        """The result of the last statement is shown, and is the DataFrame `_sqldf`."""
        result = sql.run(code, self._spark, self._dbutils.widgets)
        if result is not None:
            self._namespace["_sqldf"] = result
            if result.columns:
                self._display(result)
            else:
                print("OK")

    def sh(self, code: str) -> None:
        """bash; as on Databricks a failure counts only with -e."""
        first, newline, rest = code.partition("\n")
        stop = re.match(r"\s*-e\b[ \t]*", first)
        script = (first[stop.end() :] if stop else first) + newline + rest
        status = subprocess.call(["/bin/bash", *(["-e"] if stop else []), "-c", script])
        if status and stop:
            raise ShellCommandFailed(f"%sh -e: the command exited with status {status}")

    def fs(self, code: str) -> None:
        """`ls /mnt`, `rm -r dbfs:/x`, ...: the calls of dbutils.fs."""
        for line in code.strip().split("\n"):
            words = [word for word in shlex.split(line, comments=True) if word not in ("-f", "-p")]
            if words:
                self._fs(words[0], words[1:])

    def _fs(self, name: str, words: list[str]) -> None:
        function = getattr(self._dbutils.fs, name, None)
        if name.startswith("_") or function is None:
            raise ValueError(f"%fs {name}: not a call of dbutils.fs; see dbutils.fs.help()")
        options: dict[str, Any] = {}
        if any(word in ("-r", "--recurse=true", "--recursive") for word in words):
            options["recurse"] = True
        if "--overwrite=true" in words:
            options["overwrite"] = True
        result = function(*(word for word in words if not word.startswith("-")), **options)
        if isinstance(result, list) and result:
            self._display([entry._asdict() for entry in result])
        elif result is not None:
            print(str(result).lower() if isinstance(result, bool) else result)


def register(shell: Shell, magics: Magics) -> None:
    """Register the magics in IPython, for lines among Python and for cells with %%."""
    for name in MAGICS.keys() - {"pip", "restart_python"}:
        _register(shell, name, functools.partial(magics.run, name))
    shell.register_magic_function(lambda line: None, "line", "restart_python")
    # A line of pip may name a variable of the notebook, as in IPython.
    shell.register_magic_function(magics.pip, "line", "pip")


def _register(shell: Shell, name: str, function: Callable[[str], None]) -> None:
    # IPython must not expand $name and {name}: they belong to bash, SQL and %run.
    shell.register_magic_function(no_var_expand(lambda line: function(line)), "line", name)
    cell_magic = no_var_expand(lambda line, cell: function(f"{line}\n{cell}".lstrip("\n")))
    shell.register_magic_function(cell_magic, "cell", name)
