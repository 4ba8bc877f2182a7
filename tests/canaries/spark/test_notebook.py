"""What services/databricks/notebook/compat.py changes or uses is still there: one test per patch, named after it.

They run in Spark's environment: `.pinflow/envs/spark/bin/python -m pytest tests/canaries/spark`.
"""

from __future__ import annotations

import inspect
import io
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("pyspark")
pytest.importorskip("IPython")

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from py4j.protocol import Py4JJavaError
from pyspark import cloudpickle
from pyspark.errors.utils import ErrorClassesReader
from pyspark.sql import functions
from pyspark.sql.connect.conf import RuntimeConf
from pyspark.sql.connect.dataframe import DataFrame as ConnectFrame
from pyspark.sql.connect.functions import lit
from pyspark.sql.connect.readwriter import DataFrameReader, DataFrameWriter
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.connect.streaming.query import StreamingQuery, StreamingQueryManager
from pyspark.sql.connect.streaming.readwriter import DataStreamReader, DataStreamWriter
from pyspark.sql.dataframe import DataFrame
from pyspark.sql.session import SparkSession as ClassicSession
from pyspark.sql.streaming.listener import StreamingQueryProgress

from services.databricks.notebook import compat


def parameters(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters."""
    return list(inspect.signature(function).parameters)


def test_route_paths() -> None:
    assert io.open is open
    assert parameters(open)[:2] == ["file", "mode"]
    assert all(callable(getattr(os, name)) for name in (*compat.ROUTED, "chmod", "utime", "unlink"))


def test_compiler() -> None:
    assert parameters(CachingCompiler.get_code_name) == ["self", "raw_code", "transformed_code", "number"]
    assert parameters(CachingCompiler.format_code_name) == ["self", "name"]
    compiler = CachingCompiler()
    name = compiler.cache("1 + 1", 7)
    assert compiler._filename_map == {name: 7}


def test_hook() -> None:
    assert DisplayHook.semicolon_at_end_of_expression("1;") and not DisplayHook.semicolon_at_end_of_expression("1")
    for name in ("quiet", "write_output_prompt", "finish_displayhook"):
        assert parameters(getattr(DisplayHook, name)) == ["self"]
    assert parameters(DisplayHook.write_format_data) == ["self", "format_dict", "md_dict"]


def test_shell() -> None:
    assert parameters(InteractiveShell._showtraceback) == ["self", "etype", "evalue", "stb"]
    assert parameters(InteractiveShell.system_raw) == ["self", "cmd"]
    for name in ("compiler_class", "displayhook_class", "display_pub_class"):
        assert hasattr(InteractiveShell, name)


def test_forget_builtin_open() -> None:
    assert "open" in inspect.getsource(InteractiveShell.init_user_ns) or "open" in InteractiveShell().user_ns


def test_java_error() -> None:
    """py4j's own constructor needs a gateway, and the attributes are those that py4j itself sets."""
    source = inspect.getsource(Py4JJavaError)
    assert all(f"self.{name}" in source for name in ("errmsg", "java_exception", "exception_cmd"))


def test_use_one_session() -> None:
    for builder in (ClassicSession.Builder, SparkSession.Builder):
        assert all(
            callable(getattr(builder, name)) for name in ("getOrCreate", "enableHiveSupport", "master", "remote")
        )
        assert isinstance(builder()._options, dict)
    assert callable(ClassicSession.Builder._validate_startup_urls)
    assert parameters(SparkSession._set_default_and_active_session) == ["session"]
    assert isinstance(SparkSession._active_session, threading.local)
    assert callable(SparkSession.stop) and callable(SparkSession.getActiveSession)


def test_configure() -> None:
    assert parameters(RuntimeConf._set_all) == ["self", "configs", "silent"]


def test_reword_missing_jvm() -> None:
    message = ErrorClassesReader().error_info_map["JVM_ATTRIBUTE_NOT_SUPPORTED"]["message"]
    assert "<attr_name>" in "".join(message)
    assert "'x'" in str(compat.missing_jvm("x")) or "`x`" in str(compat.missing_jvm("x"))


def test_send_modules_of() -> None:
    assert parameters(cloudpickle.cloudpickle._is_registered_pickle_by_value) == ["module"]
    assert "_is_registered_pickle_by_value" in inspect.getsource(cloudpickle.cloudpickle._should_pickle_by_reference)


def test_bind_parameters() -> None:
    assert parameters(SparkSession.sql)[:3] == ["self", "sqlQuery", "args"]


def test_literal_plan() -> None:
    assert compat.literal_plan(5).WhichOneof("expr_type") == "literal"
    assert compat.literal_plan(lit(None)).literal.WhichOneof("literal_type") == "null"
    assert compat.type_name(compat.literal_plan(None).literal.null) == "void"


def test_translate_paths() -> None:
    for owner, name in (
        (DataFrameReader, "load"),
        (DataFrameWriter, "save"),
        (DataStreamReader, "load"),
        (DataStreamWriter, "start"),
    ):
        assert parameters(getattr(owner, name))[1] == "path"


def test_add_display() -> None:
    """The frames of Spark Connect inherit from the class that gets the method, and have none of their own."""
    assert issubclass(ConnectFrame, DataFrame) and not hasattr(DataFrame, "display")


def test_restore_spark_3_names() -> None:
    """What is restored is really missing; the deprecated functions still exist."""
    assert [name for name in compat.PRIVATE_NAMES if name in vars(functions)] == []
    assert [name for name in compat.STAR if name in functions.__all__] == []
    missing = [name for name in compat.STAR if not hasattr(functions, name)]
    assert set(missing) <= compat.PRIVATE_NAMES.keys()
    assert not hasattr(DataFrame, "to_pandas_on_spark")


def test_show_progress_numbers() -> None:
    """The bug is still there: the keys are None where the attributes have the numbers."""
    assert parameters(StreamingQueryProgress.fromJson.__func__) == ["cls", "j"]
    source = {"description": "s", "startOffset": "", "endOffset": "", "latestOffset": "", "numInputRows": 3}
    rates = {"inputRowsPerSecond": 1.0, "processedRowsPerSecond": 1.0}
    identity = "00000000-0000-0000-0000-000000000000"
    progress = StreamingQueryProgress.fromJson(
        {
            "id": identity,
            "runId": identity,
            "name": "q",
            "timestamp": "",
            "batchId": 0,
            "batchDuration": 1,
            "durationMs": {},
            "eventTime": {},
            "stateOperators": [],
            "sources": [{**source, **rates}],
            "sink": {"description": "k", "numOutputRows": 1},
            "observedMetrics": {},
        }
    )
    assert progress.numInputRows == 3
    assert progress.get("numInputRows") is None


def test_watch_streams() -> None:
    for owner, names in (
        (DataStreamWriter, ("start", "toTable")),
        (StreamingQuery, ("awaitTermination", "processAllAvailable", "exception")),
        (StreamingQueryManager, ("awaitAnyTermination",)),
    ):
        assert all(callable(getattr(owner, name)) for name in names)
    assert "_write_proto" in inspect.getsource(DataStreamWriter)
    assert callable(threading.excepthook)
