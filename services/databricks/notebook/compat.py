"""Every place where a notebook process changes or uses the insides of Python, IPython, PySpark and py4j.

Each function says what it works around and when it can go. tests/canaries/spark/test_notebook.py has one test for each,
which fails by name when an upgrade removes or changes what is used here.
"""

from __future__ import annotations

import builtins
import functools
import io
import os
import re
import threading
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from py4j.java_gateway import JVMView
from py4j.protocol import Py4JJavaError
from pyspark import SparkContext, cloudpickle
from pyspark.errors import StreamingQueryException
from pyspark.errors.exceptions.base import PySparkAttributeError
from pyspark.errors.utils import ErrorClassesReader
from pyspark.sql import functions
from pyspark.sql.connect.functions import lit
from pyspark.sql.connect.readwriter import DataFrameReader, DataFrameWriter
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.connect.streaming.query import StreamingQuery, StreamingQueryManager
from pyspark.sql.connect.streaming.readwriter import DataStreamReader, DataStreamWriter
from pyspark.sql.connect.types import proto_schema_to_pyspark_data_type
from pyspark.sql.dataframe import DataFrame
from pyspark.sql.session import SparkSession as ClassicSession
from pyspark.sql.streaming.listener import StreamingQueryProgress
from pyspark.sql.utils import get_active_spark_context, to_str, try_remote_functions
from pyspark.util import PythonEvalType

# --- Python ---

ROUTED = ("stat", "lstat", "listdir", "scandir", "mkdir", "remove", "rmdir")
"""Functions of `os` that also work on /dbfs; `chmod` and `utime` succeed there without effect."""


def route_paths(find: Callable[[Any], str | None], dbfs: Any, translate: Callable[[Any], Any]) -> None:
    """Make `open`, `io.open` and functions of `os` understand paths of a Databricks driver.

    ``find`` gives the DBFS path of a path below /dbfs, which ``dbfs`` then handles; ``translate`` gives the real path
    of any other. On Databricks /dbfs is a FUSE mount, which needs root or a kernel module. Python has no hook for file
    systems, so there is no upstream issue. It can go when notebooks run in a container that mounts DBFS.
    """
    original_open = io.open

    def open_anywhere(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if found := find(file):
            return dbfs.open(found, mode, *args, **kwargs)
        return original_open(translate(file), mode, *args, **kwargs)

    def route(name: str, on_dbfs: Callable[[str], Any]) -> None:
        original = getattr(os, name)

        def routed(path: Any = ".", *args: Any, **kwargs: Any) -> Any:
            found = find(path)
            return on_dbfs(found) if found else original(translate(path), *args, **kwargs)

        setattr(os, name, routed)

    builtins.open = io.open = open_anywhere
    for name in ROUTED:
        route(name, getattr(dbfs, name))
    for name in ("chmod", "utime"):
        route(name, lambda path: None)
    os.unlink = os.remove


def refuse_input() -> None:
    """Make `input()` fail with an explanation: nobody can answer in a run. Databricks does the same; no end."""

    def no_input(prompt: object = "") -> str:
        raise RuntimeError(
            "input() cannot ask anybody in a notebook run; use dbutils.widgets or job parameters instead"
        )

    builtins.input = no_input


# --- IPython ---


class Compiler(CachingCompiler):  # type: ignore[misc]
    """Names cells after their notebook and number in tracebacks.

    `get_code_name` and `format_code_name` are made to be overridden (ipykernel does); `_filename_map` is private. It
    can go when IPython has a setting for the names of cells.
    """

    notebook = ""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return f"<{self.notebook} cell {number}>"

    def format_code_name(self, name: str) -> tuple[str, str] | None:
        if name not in self._filename_map:
            return None
        path = name[1:].rpartition(" cell ")[0]
        return (f"{path} Cell" if path else "Cell"), f"In[{self._filename_map[name]}]"


class Hook(DisplayHook):  # type: ignore[misc]
    """Publishes the value of a cell's last expression, without the prompt of a terminal.

    `source` is the cell: IPython itself reads it from the history, which is switched off here.
    """

    source = ""

    def quiet(self) -> bool:
        return bool(self.semicolon_at_end_of_expression(self.source))

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
        self.shell.display_pub.publish(format_dict, md_dict)

    def finish_displayhook(self) -> None:
        pass


class Shell(InteractiveShell):  # type: ignore[misc]
    """IPython's shell without terminal, history and colours.

    `_showtraceback` is private, but the only place where IPython hands out a formatted traceback; ipykernel overrides
    it as well. It can go when `run_cell` returns the traceback.
    """

    trace = ""

    def system(self, command: str) -> None:
        """`!command`: the process writes to the run's own output."""
        self.system_raw(command)

    def enable_gui(self, gui: str | None = None) -> None:
        """`%matplotlib inline` calls it; there is no window here."""

    def ask_exit(self) -> None:
        """`exit` without parentheses."""
        raise SystemExit(0)

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        self.trace = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", self.InteractiveTB.stb2text(stb))


def forget_builtin_open(namespace: dict[str, Any]) -> None:
    """Remove IPython's own `open` from the notebook's names: it holds the original, before `route_paths`.

    IPython adds it so that `open` refuses descriptors 0 to 2. It can go together with `route_paths`.
    """
    namespace.pop("open", None)


# --- py4j ---


class JavaError(Py4JJavaError):  # type: ignore[misc]
    """An error of a Java class as a notebook on Databricks sees it, where there is no JVM to ask.

    Notebooks catch Py4JJavaError and read `java_exception`. py4j's constructor wants a live gateway, so it is not
    called. It can go when Databricks' dbutils raises something else.
    """

    def __init__(self, call: str, java_class: str, message: str) -> None:
        Exception.__init__(self, java_class, message)
        self.errmsg = f"An error occurred while calling o395.{call}.\n"
        self.java_exception = _JavaException(java_class, message)
        self.exception_cmd = ""

    def __str__(self) -> str:
        return f"{self.errmsg}: {self.java_exception}"


class _JavaException:
    """What notebooks ask of `error.java_exception`."""

    def __init__(self, java_class: str, message: str) -> None:
        self._class, self._message = java_class, message

    def getClass(self) -> _JavaException:
        return self

    def getName(self) -> str:
        return self._class

    def getSimpleName(self) -> str:
        return self._class.rpartition(".")[2]

    def getMessage(self) -> str:
        return self._message

    def toString(self) -> str:
        return f"{self._class}: {self._message}"

    __str__ = __repr__ = toString


# --- PySpark: sessions ---


def use_one_session(session: SparkSession) -> None:
    """Make every way to a session lead to this one, and `stop()` of it do nothing.

    `SparkSession.builder…getOrCreate()` gives the notebook's session on Databricks, whatever master or remote it names,
    also in threads; and stop() does not end the cluster there. Behaviour of Databricks, so without an end.
    """
    original_stop = SparkSession.stop

    def get_or_create(builder: Any) -> SparkSession:
        ignored = ("spark.remote", "spark.master", "spark.app.name", "spark.sql.catalogImplementation")
        if with_effect := {key: value for key, value in builder._options.items() if key not in ignored}:
            configure(session, with_effect)
        return session

    def stop(asked: SparkSession) -> None:
        if asked is not session:
            original_stop(asked)

    for builder in (ClassicSession.Builder, SparkSession.Builder):
        builder.getOrCreate = get_or_create
        builder.enableHiveSupport = lambda builder: builder
        builder.master = lambda builder, master: builder
        builder.remote = lambda builder, url: builder
    ClassicSession.Builder._validate_startup_urls = lambda builder: None
    SparkSession.stop = stop
    SparkSession.__del__ = lambda session: None
    SparkSession._set_default_and_active_session(session)
    # Threads of the notebook have no active session of their own.
    SparkSession.getActiveSession = classmethod(lambda cls: getattr(cls._active_session, "session", None) or session)


def configure(session: SparkSession, settings: Mapping[str, str]) -> None:
    """Set many settings in one call, and skip those that only a new cluster could take, as `getOrCreate` does.

    `session.conf.set` is one round trip per setting and raises for static ones. It can go when conf has a public
    method for this.
    """
    session.conf._set_all(dict(settings), silent=True)


def reword_missing_jvm(message: str) -> None:
    """Give PySpark's error for attributes that need the JVM the words of Databricks. Without an end."""
    ErrorClassesReader().error_info_map["JVM_ATTRIBUTE_NOT_SUPPORTED"]["message"] = [message]


def missing_jvm(attribute: str) -> PySparkAttributeError:
    """PySpark's error for an attribute that needs the JVM."""
    return PySparkAttributeError(errorClass="JVM_ATTRIBUTE_NOT_SUPPORTED", messageParameters={"attr_name": attribute})


def send_modules_of(directory: Path) -> None:
    """Make functions that run on the cluster carry the modules below ``directory`` with them.

    The cluster cannot import the workspace's modules, which on Databricks it can. cloudpickle's public
    `register_pickle_by_value` takes one module that is already imported, not a directory
    (https://github.com/cloudpipe/cloudpickle/pull/417). It can go when the executors see the workspace's files.
    """
    original = cloudpickle.cloudpickle._is_registered_pickle_by_value

    def by_value(module: Any) -> bool:
        file = getattr(module, "__file__", None)
        return original(module) or bool(file and Path(file).resolve().is_relative_to(directory))

    cloudpickle.cloudpickle._is_registered_pickle_by_value = by_value


# --- PySpark: statements, paths, names ---


def bind_parameters(bind: Callable[[str, Any], str]) -> None:
    """Let ``bind`` put the values of `spark.sql(query, args)` into the query before it is sent.

    Delta's parser drops them: https://github.com/delta-io/delta/issues/7640 (also
    https://github.com/apache/spark/issues/55392). It can go with a Delta release that fixes it.
    """
    original = SparkSession.sql

    @functools.wraps(original)
    def sql(session: Any, sqlQuery: str, args: Any = None, **kwargs: Any) -> Any:
        return original(session, bind(sqlQuery, args) if args else sqlQuery, **kwargs)

    SparkSession.sql = sql


def literal_plan(value: Any) -> Any:
    """The spark.connect.Expression that PySpark would send for a Python value or a Column.

    `to_plan` is internal; its message is Spark Connect's public protocol. It can go together with `bind_parameters`.
    """
    return lit(value).to_plan(None)


def type_name(sent: Any) -> str:
    """The SQL name of a spark.connect.DataType; internal in PySpark, and used with `literal_plan` only."""
    return str(proto_schema_to_pyspark_data_type(sent).simpleString())


def translate_paths(translate: Callable[[Any], Any]) -> None:
    """Let ``translate`` see each path that a frame or stream is read from or written to.

    Notebooks write `file:/dbfs/…`, `file:/Workspace/…` and `s3n://KEY:SECRET@bucket/…`, which Databricks' own file
    systems understand. Without an end.
    """

    def wrap(owner: type[Any], name: str) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def with_path(self: Any, path: Any = None, *args: Any, **kwargs: Any) -> Any:
            return original(self, translate(path), *args, **kwargs)

        setattr(owner, name, with_path)

    for owner, name in (
        (DataFrameReader, "load"),
        (DataFrameWriter, "save"),
        (DataStreamReader, "load"),
        (DataStreamWriter, "start"),
    ):
        wrap(owner, name)


def add_display(display: Callable[..., None]) -> None:
    """Give data frames Databricks' method `display`. Without an end."""
    DataFrame.display = lambda frame, *_, **options: display(frame, **options)


PRIVATE_NAMES = {
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
"""Names that pyspark.sql.functions had in Spark 3, and that Spark 4.2 has not under any name."""
STAR = """Any ArrayType Callable Column DataFrame DataType Dict Iterable JVMView List Optional PySparkTypeError
    PySparkValueError PythonEvalType SparkContext StringType StructType TYPE_CHECKING Tuple Type Union ValuesView
    approxCountDistinct bitwiseNOT cast countDistinct decimal functools get_active_spark_context has_numpy inspect np
    overload shiftLeft shiftRight shiftRightUnsigned sumDistinct sys toDegrees toRadians to_str try_remote_functions
    warnings""".split()  # noqa: SIM905
"""What `from pyspark.sql.functions import *` also brought in Spark 3.4 and 3.5: deprecated functions, and all that the
module imported for itself, for it had no `__all__`. tests/contract/notebook/spark_3_functions.txt has all its names."""


def restore_spark_3_names() -> None:
    """Give PySpark back the names of Spark 3 (Databricks Runtime 13 to 15) that public notebooks still use.

    Removed on purpose upstream. It can go when no runtime with Spark 3 is supported by Databricks any more.
    """
    for name, value in PRIVATE_NAMES.items():
        setattr(functions, name, value)
    functions.__all__ = [*functions.__all__, *STAR]
    DataFrame.to_pandas_on_spark = lambda frame, index_col=None: frame.pandas_api(index_col)


# --- PySpark: streams ---


def show_progress_numbers() -> None:
    """Make `query.lastProgress["numInputRows"]` work on Spark Connect, where these keys are None.

    https://github.com/apache/spark/pull/46921 made them attributes only. It can go when the keys have values.
    """
    original = StreamingQueryProgress.fromJson.__func__

    def from_json(cls: Any, values: dict[str, Any]) -> Any:
        progress = original(cls, values)
        for name in ("numInputRows", "inputRowsPerSecond", "processedRowsPerSecond"):
            progress[name] = getattr(progress, name)
        return progress

    StreamingQueryProgress.fromJson = classmethod(from_json)


class StreamWatcher(typing.Protocol):
    """What `watch_streams` calls."""

    def started(self, query: Any, ends: bool) -> None:
        """A query started; ``ends`` if its trigger ends it (once, availableNow)."""

    def seen(self, error: StreamingQueryException) -> None:
        """The notebook's code got the exception of a query that failed."""

    def asked(self, query: Any) -> None:
        """The notebook's code asked a failed query for its exception."""

    def unhandled(self, error: StreamingQueryException) -> None:
        """The exception ended a thread of the notebook."""


exception_of, await_termination = StreamingQuery.exception, StreamingQuery.awaitTermination
"""The originals, which do not tell the watcher."""


def watch_streams(watcher: StreamWatcher) -> None:
    """Tell ``watcher`` which queries start, and which failures the notebook's own code handles.

    A job on Databricks fails with a stream that fails unless the notebook took the exception. Spark's public listeners
    (StreamingQueryListener) do not know the cell, the trigger, or who took an exception. Without an end.
    """

    def after_start(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def start(writer: Any, *args: Any, **kwargs: Any) -> Any:
            query = original(writer, *args, **kwargs)
            watcher.started(query, writer._write_proto.WhichOneof("trigger") in ("once", "available_now"))
            return query

        return start

    def with_failures(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wait(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            except StreamingQueryException as error:
                watcher.seen(error)
                raise

        return wait

    @functools.wraps(exception_of)
    def exception(query: Any) -> Any:
        if (error := exception_of(query)) is not None:
            watcher.asked(query)
        return error

    original_hook = threading.excepthook

    def excepthook(ending: Any) -> None:
        if isinstance(ending.exc_value, StreamingQueryException):
            watcher.unhandled(ending.exc_value)
        original_hook(ending)

    for name in ("start", "toTable"):
        setattr(DataStreamWriter, name, after_start(getattr(DataStreamWriter, name)))
    # Databricks' own name for toTable.
    DataStreamWriter.table = DataStreamWriter.toTable
    for owner, name in (
        (StreamingQuery, "awaitTermination"),
        (StreamingQuery, "processAllAvailable"),
        (StreamingQueryManager, "awaitAnyTermination"),
    ):
        setattr(owner, name, with_failures(getattr(owner, name)))
    StreamingQuery.exception = exception
    threading.excepthook = excepthook
