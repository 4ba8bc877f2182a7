"""Names of PySpark 3 (Databricks Runtime 13 to 15) that PySpark 4 has taken away."""

from __future__ import annotations

import typing

import numpy as np
from py4j.java_gateway import JVMView
from pyspark import SparkContext
from pyspark.sql import DataFrame, functions
from pyspark.sql.utils import get_active_spark_context, to_str, try_remote_functions
from pyspark.util import PythonEvalType

STAR = [
    "Any",
    "ArrayType",
    "Callable",
    "Column",
    "DataFrame",
    "DataType",
    "Dict",
    "Iterable",
    "JVMView",
    "List",
    "Optional",
    "PySparkTypeError",
    "PySparkValueError",
    "PythonEvalType",
    "SparkContext",
    "StringType",
    "StructType",
    "TYPE_CHECKING",
    "Tuple",
    "Type",
    "Union",
    "ValuesView",
    "approxCountDistinct",
    "bitwiseNOT",
    "cast",
    "countDistinct",
    "decimal",
    "functools",
    "get_active_spark_context",
    "has_numpy",
    "inspect",
    "np",
    "overload",
    "shiftLeft",
    "shiftRight",
    "shiftRightUnsigned",
    "sumDistinct",
    "sys",
    "toDegrees",
    "toRadians",
    "to_str",
    "try_remote_functions",
    "warnings",
]
"""What `from pyspark.sql.functions import *` brought beside what it still brings: functions that are deprecated, and
all that the module imported for itself, for it had no `__all__`. Source: python/pyspark/sql/functions.py of Spark 3.4
and 3.5; tests/contract/notebook/spark_3_functions.txt has all of its names."""

GONE = {
    "DataFrame": DataFrame,
    "Dict": typing.Dict,  # noqa: UP006
    "JVMView": JVMView,
    "List": typing.List,  # noqa: UP006
    "PythonEvalType": PythonEvalType,
    "SparkContext": SparkContext,
    "get_active_spark_context": get_active_spark_context,
    "has_numpy": True,
    "np": np,
    "to_str": to_str,
    "try_remote_functions": try_remote_functions,
}
"""Those of them that pyspark.sql.functions does not have in Spark 4.2 under any name."""


def restore() -> None:
    """Give PySpark these names back, for all modules that the notebook imports."""
    for name, value in GONE.items():
        setattr(functions, name, value)
    functions.__all__ = [*functions.__all__, *STAR]
    DataFrame.to_pandas_on_spark = lambda frame, index_col=None: frame.pandas_api(index_col)
