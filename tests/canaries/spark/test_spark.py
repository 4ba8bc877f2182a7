"""Spark, Hadoop and Delta still have, and still need, what services/spark uses of their insides."""

from __future__ import annotations

import inspect
import zipfile
from pathlib import Path
from typing import Any

import pyspark
import pytest
from botocore.session import Session
from py4j.java_gateway import JavaGateway
from pyspark import worker_util
from pyspark.errors.exceptions.captured import CapturedException
from pyspark.util import handle_worker_exception, local_connect_and_auth

from pyspark_kinesis import compat as kinesis
from services.spark import compat

JARS = Path(pyspark.__file__).parent / "jars"


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_workers_still_ask_this_name_for_their_connection() -> None:
    assert worker_util.local_connect_and_auth is local_connect_and_auth
    assert parameters(local_connect_and_auth)[0] == "conn_info"


def test_spark_still_waits_a_fixed_time_for_a_worker() -> None:
    """When this fails `hand_over_connection` may go: look whether the time has a setting now."""
    (core,) = JARS.glob("spark-core_*.jar")
    with zipfile.ZipFile(core) as jar:
        factory = jar.read("org/apache/spark/api/python/PythonWorkerFactory.class")
    assert b"PYTHON_WORKER_FACTORY_PORT" in factory
    assert b"Python worker failed to connect back." in factory
    constant = b"\x05" + (10_000).to_bytes(8, "big")  # a long in the class's constant pool: milliseconds
    assert constant in factory


def test_pyspark_still_has_no_public_name_for_the_java_exception() -> None:
    assert "origin" in parameters(CapturedException.__init__)
    assert "_origin" in inspect.getsource(CapturedException)
    assert not hasattr(CapturedException, "origin")


@pytest.mark.parametrize("name", ["_gateway", "_jsc"])
def test_a_context_still_has_its_way_to_the_jvm(name: str) -> None:
    assert name in pyspark.SparkContext.__init__.__code__.co_names + pyspark.SparkContext._do_init.__code__.co_names


def test_py4j_still_has_what_propagates_exceptions(gateway: JavaGateway) -> None:
    assert hasattr(gateway.python_parameters, "propagate_java_exceptions")
    assert compat.client_of(gateway)


@pytest.mark.parametrize("kind", ["relation", "command"])
def test_the_plugin_registry_takes_an_instance(gateway: JavaGateway, kind: str) -> None:
    registry = compat.scala_object(gateway.jvm, f"{compat.PLUGINS}.SparkConnectPluginRegistry")
    field = registry.getClass().getDeclaredField(f"{kind}RegistryCache")
    assert "Seq" in field.getType().getName()
    assert [method for method in registry.getClass().getMethods() if method.getName() == f"{kind}Registry"]


def test_the_wrappers_of_plugins_compile(gateway: JavaGateway) -> None:
    compiler = gateway.jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(compat._WRAPPERS)
    for name in ("Relation", "Command"):
        (constructor,) = compiler.getClassLoader().loadClass(name).getConstructors()
        assert constructor.getParameterCount() == 1


def test_delta_still_has_no_plugin_of_its_own(gateway: JavaGateway) -> None:
    """When this fails delta_connect.py and `register_connect_plugins` can go."""
    with pytest.raises(Exception, match="DeltaRelationPlugin"):
        compat.java_class(gateway.jvm, "org.apache.spark.sql.connect.delta.DeltaRelationPlugin")


@pytest.mark.parametrize(
    "name",
    [
        "org.apache.spark.sql.catalyst.plans.logical.DeltaMergeInto",
        "org.apache.spark.sql.catalyst.plans.logical.DeltaMergeIntoClause",
        "org.apache.spark.sql.catalyst.expressions.Literal",
        "org.apache.spark.sql.classic.Dataset",
        "org.apache.spark.sql.delta.DeltaLog",
        "org.apache.spark.sql.connect.service.SparkConnectService",
    ],
)
def test_a_scala_object_is_found(gateway: JavaGateway, name: str) -> None:
    assert compat.java_class(gateway.jvm, f"{name}$").getField("MODULE$")


def test_a_cached_file_system_is_replaced(gateway: JavaGateway) -> None:
    hadoop = gateway.jvm.org.apache.hadoop
    configuration = hadoop.conf.Configuration()
    root = hadoop.fs.Path("file:///")
    first = root.getFileSystem(configuration)
    assert root.getFileSystem(configuration).equals(first), "Hadoop caches no file system: replace_file_system can go"
    compat.replace_file_system(gateway, "file:///", configuration)
    assert not root.getFileSystem(configuration).equals(first)


def test_a_directory_is_listed_with_the_fields_that_are_read(gateway: JavaGateway, tmp_path: Path) -> None:
    (tmp_path / "a b%").write_text("1")
    hadoop = gateway.jvm.org.apache.hadoop
    path = hadoop.fs.Path("file", "", str(tmp_path))
    statuses = path.getFileSystem(hadoop.conf.Configuration()).listStatus(path)
    text = compat.field_mapper(gateway.jvm).writeValueAsString(statuses)
    assert all(f'"{name}"' in text for name in ("uri", "isdir", "length", "modification_time")), text


def test_sessions_can_be_found_and_closed(gateway: JavaGateway) -> None:
    manager = compat.java_class(gateway.jvm, "org.apache.spark.sql.connect.service.SparkConnectSessionManager")
    names = {method.getName() for method in manager.getMethods()}
    assert {"listActiveSessions", "getIsolatedSessionIfPresent", "closeSession"} <= names


def test_kinesis_botocore_still_takes_no_renewing_credentials() -> None:
    """When this fails `set_renewing_credentials` can go."""
    assert parameters(Session.set_credentials)[1:4] == ["access_key", "secret_key", "token"]
    assert "credentials" not in parameters(Session.set_credentials)
    session, credentials = Session(), object()
    kinesis.set_renewing_credentials(session, credentials)
    assert session.get_credentials() is credentials


def test_kinesis_spark_still_reads_the_variable_that_hides_tracebacks() -> None:
    assert "SPARK_HIDE_TRACEBACK" in inspect.getsource(handle_worker_exception)
