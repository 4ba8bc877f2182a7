"""Everything that reaches into the insides of Spark, Hadoop and Delta, one function a patch.

tests/canaries/spark/test_spark.py fails by name where an upgrade removes what is used here. Python processes that Spark
starts load this file alone (workers/sitecustomize.py), so PySpark is imported only where a function needs it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

PLUGINS = "org.apache.spark.sql.connect.plugin"
_RETHROW = """
    } catch (java.lang.reflect.UndeclaredThrowableException e) {
      org.apache.spark.unsafe.Platform.throwException(e.getCause());
      throw e;
    }"""
_WRAPPERS = f"""
import {PLUGINS}.*;
import org.apache.spark.sql.connect.planner.SparkConnectPlanner;

public class Relation implements RelationPlugin {{
  private final RelationPlugin python;
  public Relation(RelationPlugin python) {{ this.python = python; }}
  public java.util.Optional transform(byte[] message, SparkConnectPlanner planner) {{
    try {{ return python.transform(message, planner); {_RETHROW}
  }}
}}

public class Command implements CommandPlugin {{
  private final CommandPlugin python;
  public Command(CommandPlugin python) {{ this.python = python; }}
  public boolean process(byte[] message, SparkConnectPlanner planner) {{
    try {{ return python.process(message, planner); {_RETHROW}
  }}
}}
"""


def java_class(jvm: Any, name: str) -> Any:
    """A java.lang.Class by its name; py4j itself reaches no class with a `$` at the end, nor a private one."""
    return jvm.org.apache.spark.util.Utils.classForName(name, True, False)


def scala_object(jvm: Any, name: str) -> Any:
    """A Scala object, which py4j has no name for."""
    return java_class(jvm, f"{name}$").getField("MODULE$").get(None)


def register_connect_plugins(gateway: Any, **plugins: Any) -> None:
    """Make the Connect server of this driver ask plugins that are Python objects: ``relation`` and ``command``.

    The server makes plugins from class names only (spark.connect.extensions.*.classes), so the instance is put into
    the cache of its registry. Between the two stands a class that Janino, Spark's own compiler, makes of `_WRAPPERS`:
    py4j's proxy turns every checked exception that the interface does not declare (AnalysisException is one) into
    another, without a message.

    Delta's own plugin would be a class: https://github.com/delta-io/delta/issues/3240. Can go when
    delta-connect-server is on Maven Central for this version of Spark.
    """
    from py4j.java_collections import ListConverter

    compiler = gateway.jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(_WRAPPERS)
    registry = scala_object(gateway.jvm, f"{PLUGINS}.SparkConnectPluginRegistry")
    for kind, plugin in plugins.items():
        constructor = compiler.getClassLoader().loadClass(kind.capitalize()).getConstructors()[0]
        instance = constructor.newInstance(ListConverter().convert([plugin], client_of(gateway)).toArray())
        cache = registry.getClass().getDeclaredField(f"{kind}RegistryCache")
        cache.setAccessible(True)
        cache.set(None, getattr(registry, f"{kind}Registry")().appended(instance))


def add_log_store(gateway: Any, source: str) -> None:
    """Compile a class of Delta's package io.delta.storage, its extension point for table logs, into the driver.

    Janino, Spark's own compiler, makes it of Java's source; it gets Delta's own class loader, where Delta looks for the
    class that spark.delta.logStore.*.impl names. No package registry has a store that lists a local log in a time that
    does not grow: https://github.com/delta-io/delta/issues/2684. Can go when that is done.
    """
    jvm = gateway.jvm
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(source)
    neighbour = jvm.java.lang.Class.forName("io.delta.storage.LogStore")
    handles = jvm.java.lang.invoke.MethodHandles
    package = handles.privateLookupIn(neighbour, handles.lookup())
    for code in compiler.getBytecodes().values():
        package.defineClass(code)


def propagate_java_exceptions(gateway: Any) -> None:
    """Let Java call Python objects, and get back Java's own exceptions: not a traceback of this process.

    py4j has the setting (https://github.com/py4j/py4j/pull/294), PySpark has no way to set it. PySpark's log of what
    failed is switched off: it would write the plan, as JSON, to stderr. Can go with register_connect_plugins.
    """
    import logging

    from pyspark.java_gateway import ensure_callback_server_started

    ensure_callback_server_started(gateway)
    gateway.python_parameters.propagate_java_exceptions = True
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)


def as_java_exception(method: F) -> F:
    """Raise py4j's exception where PySpark raises its own: py4j hands back to Java only those that it knows.

    Without an upstream issue: PySpark expects nobody to call it from Java. Can go with register_connect_plugins.
    """

    @functools.wraps(method)
    def with_java_exception(*arguments: Any) -> Any:
        from py4j.protocol import Py4JJavaError
        from pyspark.errors.exceptions.captured import CapturedException

        try:
            return method(*arguments)
        except CapturedException as error:
            raise Py4JJavaError("", error._origin) from None

    return with_java_exception  # type: ignore[return-value]


def java_exception(error: Any) -> Any:
    """The Java exception in one of py4j's or PySpark's; PySpark has no public name for it. Can go when it has one."""
    return error.java_exception if hasattr(error, "java_exception") else error._origin


def gateway_of(context: Any) -> Any:
    """py4j's gateway of a SparkContext. PySpark offers no other way to the JVM: without an upstream issue, for good."""
    return context._gateway


def java_context(context: Any) -> Any:
    """The JavaSparkContext of a SparkContext: see `gateway_of`."""
    return context._jsc


def client_of(gateway: Any) -> Any:
    """What py4j's converters of collections need; py4j's own documentation names it so."""
    return gateway._gateway_client


def replace_file_system(gateway: Any, uri: str, configuration: Any) -> None:
    """Put a new Hadoop file system in the place of the cached one, in one step; nothing if there is none.

    Hadoop keeps each file system with the settings of the time when it was made, and has no call to replace one: its
    cache can only be closed, or switched off for a scheme (https://github.com/apache/hadoop/pull/8662 asks for more).
    Can go when Hadoop reads mount tables and keys again without a new file system.
    """
    jvm, file_systems = gateway.jvm, "org.apache.hadoop.fs.FileSystem"

    def private(owner: str, name: str) -> Any:
        field = java_class(jvm, owner).getDeclaredField(name)
        field.setAccessible(True)
        return field

    address = jvm.java.net.URI(uri)
    types, values = gateway.new_array(jvm.Class, 2), gateway.new_array(jvm.Object, 2)
    types[0], types[1] = java_class(jvm, "java.net.URI"), java_class(jvm, "org.apache.hadoop.conf.Configuration")
    values[0], values[1] = address, configuration
    constructor = java_class(jvm, f"{file_systems}$Cache$Key").getDeclaredConstructor(types)
    constructor.setAccessible(True)
    key, cache = constructor.newInstance(values), private(file_systems, "CACHE").get(None)
    cached = private(f"{file_systems}$Cache", "map").get(cache)
    if cached.containsKey(key):
        kind = jvm.org.apache.hadoop.fs.FileSystem.getFileSystemClass(address.getScheme(), configuration)
        new = jvm.org.apache.hadoop.util.ReflectionUtils.newInstance(kind, configuration)
        new.initialize(address, configuration)
        cached.replace(key, new)


def field_mapper(jvm: Any) -> Any:
    """A Jackson mapper that reads fields, private ones too: one call to the JVM lists a directory.

    A call for each entry takes a millisecond. py4j has no bulk access and no issue asks for it; can go when it has.
    """
    jackson = jvm.com.fasterxml.jackson
    visible = getattr(jackson.annotation, "JsonAutoDetect$Visibility")
    mapper = jackson.databind.ObjectMapper()
    mapper.setVisibility(jackson.annotation.PropertyAccessor.ALL, visible.NONE)
    mapper.setVisibility(jackson.annotation.PropertyAccessor.FIELD, visible.ANY)
    return mapper


def session_manager(jvm: Any) -> Any:
    """The Connect server's sessions, to end those of a client that died.

    Spark ends them itself only after an hour without a call, and has no call for others' sessions. Without an upstream
    issue. Can go when it has one.
    """
    return scala_object(jvm, "org.apache.spark.sql.connect.service.SparkConnectService").sessionManager()


def hand_over_connection(connected: tuple[Any, Any]) -> None:
    """Give an open connection (stream, socket) to PySpark's worker, the first that asks for one.

    Spark waits 10 s, a constant since https://github.com/apache/spark/pull/43023, for the Python process of a streaming
    source or of foreachBatch to connect back: "Python worker failed to connect back". The process imports for 0.7 to
    2.2 s of CPU before it does, so a few queries that start at once on a busy machine fail. So it connects first
    (workers/sitecustomize.py). Can go when the constant has a setting.
    """
    from pyspark import worker_util

    original, held = worker_util.local_connect_and_auth, [connected]
    worker_util.local_connect_and_auth = lambda *to: held.pop() if held else original(*to)
