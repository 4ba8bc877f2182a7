"""Modules that only the Databricks runtime has: pyspark.dbutils, dbruntime, databricks.sdk.runtime, databricks.connect.

An installed library of the same name takes precedence, except for the parts that belong to the runtime.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of `contents`: {module name: {name in it: value}}; those with others below are packages."""

    def __init__(self, contents: Mapping[str, Mapping[str, Any]]) -> None:
        self._contents = contents

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._contents:
            return None
        package = any(other.startswith(name + ".") for other in self._contents)
        return importlib.util.spec_from_loader(name, self, is_package=package)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__.update(self._contents[module.__name__])


def install(predefined: Mapping[str, Any], dbutils: Any, context: Any, classes: Mapping[str, Any], spark: Any) -> None:
    """Make them importable. `predefined` is what a notebook knows without importing; `classes` is dbruntime.dbutils."""

    class DBUtils:
        """`DBUtils(spark)` and `DBUtils()`: the notebook's own dbutils."""

        def __new__(cls, *_: Any, **__: Any) -> Any:
            return dbutils

    class DatabricksSession:
        """Databricks Connect in a notebook: the notebook's own session."""

        builder = type(spark).builder

    runtime = {**predefined, "__all__": list(predefined)}
    own: dict[str, Mapping[str, Any]] = {
        "pyspark.dbutils": {"DBUtils": DBUtils},
        "dbruntime": {},
        "dbruntime.dbutils": {"DBUtils": DBUtils, **classes},
        "dbruntime.display": {name: predefined[name] for name in ("display", "displayHTML")},
        "dbruntime.databricks_repl_context": {"get_context": lambda: context},
        "databricks.sdk.runtime": runtime,
    }
    sys.meta_path.insert(0, Finder(own))
    packages: dict[str, Mapping[str, Any]] = {"databricks": {}, "databricks.sdk": {}, "databricks.sdk.": {}}
    sys.meta_path.append(Finder({**packages, "databricks.connect": {"DatabricksSession": DatabricksSession}}))
