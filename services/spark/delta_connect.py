"""The server's half of Delta Connect: what `delta.tables.DeltaTable` of a Spark Connect client sends.

Delta publishes it as a plugin of the Connect server (delta-connect-server), which Maven Central does not have for
this version. This one is called by the JVM through py4j, reads the messages with the classes of the Python package
(delta.connect.proto) and carries them out with Delta's own classes in the JVM.

Messages: https://github.com/delta-io/delta, spark-connect/common/src/main/protobuf/delta/connect
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from delta.connect import proto
from google.protobuf.any_pb2 import Any as Packed
from py4j.java_collections import ListConverter, MapConverter
from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.errors.exceptions.captured import CapturedException
from pyspark.java_gateway import ensure_callback_server_started

F = TypeVar("F", bound=Callable[..., Any])
PLUGINS = "org.apache.spark.sql.connect.plugin"
RETHROWN = """
    } catch (java.lang.reflect.UndeclaredThrowableException e) {
      org.apache.spark.unsafe.Platform.throwException(e.getCause());
      throw e;
    }"""
JAVA = f"""
import {PLUGINS}.*;
import org.apache.spark.sql.connect.planner.SparkConnectPlanner;

public class Relation implements RelationPlugin {{
  private final RelationPlugin python;
  public Relation(RelationPlugin python) {{ this.python = python; }}
  public java.util.Optional transform(byte[] message, SparkConnectPlanner planner) {{
    try {{ return python.transform(message, planner); {RETHROWN}
  }}
}}

public class Command implements CommandPlugin {{
  private final CommandPlugin python;
  public Command(CommandPlugin python) {{ this.python = python; }}
  public boolean process(byte[] message, SparkConnectPlanner planner) {{
    try {{ return python.process(message, planner); {RETHROWN}
  }}
}}
"""
"""Between Spark and the plugins below. What py4j makes of a Python object is a Java proxy, and that turns every checked
exception that the interface does not declare (AnalysisException is one) into another, without a message. Janino, which
Spark has for the code that it generates, compiles this."""


def register(context: SparkContext) -> None:
    """Make the Connect server of this driver ask the two plugins below."""
    gateway: Any = context._gateway
    ensure_callback_server_started(gateway)
    # What goes wrong in Delta reaches the client as Delta's exception, not as a traceback of this process.
    gateway.python_parameters.propagate_java_exceptions = True
    # PySpark would also write it as JSON to stderr, with the plan in it.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    scala = Scala(gateway)
    compiler = gateway.jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(JAVA)
    registry = scala.object(f"{PLUGINS}.SparkConnectPluginRegistry")
    for kind, plugin in (("relation", RelationPlugin(scala)), ("command", CommandPlugin(scala))):
        known = getattr(registry, f"{kind}Registry")()
        # The registry makes plugins from class names only, and these have none.
        cache = registry.getClass().getDeclaredField(f"{kind}RegistryCache")
        cache.setAccessible(True)
        cache.set(None, known.appended(_instance(compiler, kind.capitalize(), plugin, gateway)))


def _instance(compiler: Any, name: str, plugin: Any, gateway: Any) -> Any:
    """``new name(plugin)`` of a class that was just compiled."""
    arguments = ListConverter().convert([plugin], gateway._gateway_client).toArray()
    return compiler.getClassLoader().loadClass(name).getConstructors()[0].newInstance(arguments)


class Scala:
    """What py4j needs for calling Scala."""

    def __init__(self, gateway: Any) -> None:
        self._client = gateway._gateway_client
        self.jvm = gateway.jvm
        self.plans = gateway.jvm.org.apache.spark.sql.catalyst.plans.logical

    def object(self, name: str) -> Any:
        """A Scala object."""
        kind = self.jvm.org.apache.spark.util.Utils.classForName(f"{name}$", True, False)
        return kind.getField("MODULE$").get(None)

    def seq(self, values: Iterable[Any]) -> Any:
        return self.jvm.PythonUtils.toSeq(ListConverter().convert(list(values), self._client))

    def option(self, value: Any | None) -> Any:
        return self.jvm.scala.Option.apply(value)

    def dictionary(self, values: Mapping[str, str]) -> Any:
        """A java.util.HashMap."""
        return MapConverter().convert(dict(values), self._client)

    def relation(self, planner: Any, relation: Any) -> Any:
        """The logical plan of a Connect relation."""
        parsed = self.jvm.org.apache.spark.connect.proto.Relation.parseFrom(bytearray(relation.SerializeToString()))
        return planner.transformRelation(parsed)

    def expression(self, planner: Any, expression: Any) -> Any:
        """The Catalyst expression of a Connect expression."""
        message = bytearray(expression.SerializeToString())
        return planner.transformExpression(self.jvm.org.apache.spark.connect.proto.Expression.parseFrom(message))

    def data_type(self, data_type: Any) -> Any:
        message = bytearray(data_type.SerializeToString())
        parsed = self.jvm.org.apache.spark.connect.proto.DataType.parseFrom(message)
        return self.jvm.org.apache.spark.sql.connect.common.DataTypeProtoConverter.toCatalystType(parsed)

    def table(self, planner: Any, table: Any) -> Any:
        """The io.delta.tables.DeltaTable of a message."""
        delta = self.jvm.io.delta.tables.DeltaTable
        if table.HasField("path"):
            return delta.forPath(planner.session(), table.path.path, self.dictionary(table.path.hadoop_conf))
        return delta.forName(planner.session(), table.table_or_view_name)

    def executed(self, planner: Any, plan: Any) -> Any:
        """Carry out a command; the plan of its result."""
        frame = self.object("org.apache.spark.sql.classic.Dataset").ofRows(planner.session(), plan)
        return frame.queryExecution().commandExecuted()


def _as_java_exception(method: F) -> F:
    """PySpark makes exceptions of its own of Java's; py4j hands back only those that it knows."""

    @functools.wraps(method)
    def with_java_exception(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except CapturedException as error:
            raise Py4JJavaError("", error._origin) from None

    return with_java_exception  # type: ignore[return-value]


class RelationPlugin:
    """Answers with a table, a list or a number; called by the JVM, as org.apache.spark.sql.connect.plugin says."""

    class Java:
        implements = [f"{PLUGINS}.RelationPlugin"]  # noqa: RUF012

    def __init__(self, scala: Scala) -> None:
        self._scala = scala

    @_as_java_exception
    def transform(self, message: bytes, planner: Any) -> Any:
        packed, relation = Packed.FromString(bytes(message)), proto.DeltaRelation()
        if not packed.Unpack(relation):
            return self._scala.jvm.java.util.Optional.empty()
        kind = relation.WhichOneof("relation_type")
        plan = getattr(self, f"_{kind}")(planner, getattr(relation, kind))
        return self._scala.jvm.java.util.Optional.of(plan)

    def _scan(self, planner: Any, scan: Any) -> Any:
        return self._scala.table(planner, scan.table).toDF().queryExecution().analyzed()

    def _describe_history(self, planner: Any, describe: Any) -> Any:
        return self._scala.table(planner, describe.table).history().queryExecution().analyzed()

    def _describe_detail(self, planner: Any, describe: Any) -> Any:
        return self._scala.table(planner, describe.table).detail().queryExecution().analyzed()

    def _convert_to_delta(self, planner: Any, convert: Any) -> Any:
        arguments = [planner.session(), convert.identifier]
        if convert.HasField("partition_schema_struct"):
            arguments.append(self._scala.data_type(convert.partition_schema_struct))
        elif convert.HasField("partition_schema_string"):
            arguments.append(convert.partition_schema_string)
        self._scala.jvm.io.delta.tables.DeltaTable.convertToDelta(*arguments)
        # What the client then asks for: a table of the catalog keeps its name, parquet.`/a` is delta.`/a` from now on.
        name = re.sub(r"^\s*parquet\s*\.(?=\s*`)", "delta.", convert.identifier, flags=re.IGNORECASE)
        return self._one_row(planner, name, "STRING")

    def _restore_table(self, planner: Any, restore: Any) -> Any:
        table = self._scala.table(planner, restore.table)
        if restore.HasField("version"):
            return table.restoreToVersion(restore.version).queryExecution().commandExecuted()
        return table.restoreToTimestamp(restore.timestamp).queryExecution().commandExecuted()

    def _is_delta_table(self, planner: Any, asked: Any) -> Any:
        found = self._scala.jvm.io.delta.tables.DeltaTable.isDeltaTable(planner.session(), asked.path)
        return self._one_row(planner, found, "BOOLEAN")

    def _delete_from_table(self, planner: Any, delete: Any) -> Any:
        scala = self._scala
        if delete.HasField("condition"):
            condition = scala.expression(planner, delete.condition)
        else:
            condition = scala.object("org.apache.spark.sql.catalyst.expressions.Literal").TrueLiteral()
        target = scala.relation(planner, delete.target)
        return scala.executed(planner, scala.plans.DeleteFromTable(target, condition))

    def _update_table(self, planner: Any, update: Any) -> Any:
        scala = self._scala
        target, condition = scala.relation(planner, update.target), self._condition(planner, update)
        assignments = self._assignments(planner, update.assignments)
        return scala.executed(planner, scala.plans.UpdateTable(target, assignments, condition))

    def _merge_into_table(self, planner: Any, merge: Any) -> Any:
        scala = self._scala
        clauses = [self._clause(planner, "Matched", action) for action in merge.matched_actions]
        clauses += [self._clause(planner, "NotMatched", action) for action in merge.not_matched_actions]
        by_source = merge.not_matched_by_source_actions
        clauses += [self._clause(planner, "NotMatchedBySource", action) for action in by_source]
        plan = scala.object("org.apache.spark.sql.catalyst.plans.logical.DeltaMergeInto").apply(
            scala.relation(planner, merge.target),
            scala.relation(planner, merge.source),
            scala.expression(planner, merge.condition),
            scala.seq(clauses),
            merge.with_schema_evolution,
        )
        return scala.executed(planner, plan)

    def _optimize_table(self, planner: Any, optimize: Any) -> Any:
        builder = self._scala.table(planner, optimize.table).optimize()
        for partition_filter in optimize.partition_filters:
            builder = builder.where(partition_filter)
        columns = list(optimize.zorder_columns)
        frame = builder.executeZOrderBy(self._scala.seq(columns)) if columns else builder.executeCompaction()
        return frame.queryExecution().commandExecuted()

    def _clause(self, planner: Any, when: str, action: Any) -> Any:
        """A WHEN clause: DeltaMergeInto<when><Update|Delete|Insert>Clause."""
        condition = self._condition(planner, action)
        kind = action.WhichOneof("action_type")
        what = kind.partition("_")[0].capitalize()
        clause = getattr(self._scala.plans, f"DeltaMergeInto{when}{what}Clause")
        if what == "Delete":
            return clause(condition)
        if kind.endswith("_star_action"):
            star = self._scala.jvm.org.apache.spark.sql.catalyst.analysis.UnresolvedStar(self._scala.option(None))
            return clause(condition, self._scala.seq([star]))
        assignments = self._assignments(planner, getattr(action, kind).assignments)
        return clause(condition, self._scala.plans.DeltaMergeIntoClause.toActions(assignments))

    def _condition(self, planner: Any, message: Any) -> Any:
        given = message.HasField("condition")
        return self._scala.option(self._scala.expression(planner, message.condition) if given else None)

    def _assignments(self, planner: Any, assignments: Any) -> Any:
        scala = self._scala
        return scala.seq(
            scala.plans.Assignment(scala.expression(planner, each.field), scala.expression(planner, each.value))
            for each in assignments
        )

    def _one_row(self, planner: Any, value: Any, encoder: str) -> Any:
        encoders = self._scala.jvm.org.apache.spark.sql.Encoders
        values = self._scala.jvm.java.util.Collections.singletonList(value)
        return planner.session().createDataset(values, getattr(encoders, encoder)()).queryExecution().analyzed()


class CommandPlugin:
    """Does something and answers nothing."""

    class Java:
        implements = [f"{PLUGINS}.CommandPlugin"]  # noqa: RUF012

    def __init__(self, scala: Scala) -> None:
        self._scala = scala

    @_as_java_exception
    def process(self, message: bytes, planner: Any) -> bool:
        packed, command = Packed.FromString(bytes(message)), proto.DeltaCommand()
        if not packed.Unpack(command):
            return False
        kind = command.WhichOneof("command_type")
        getattr(self, f"_{kind}")(planner, getattr(command, kind))
        return True

    def _clone_table(self, planner: Any, clone: Any) -> None:
        table = self._scala.table(planner, clone.table)
        rest = (clone.target, clone.is_shallow, clone.replace, self._scala.dictionary(clone.properties))
        if clone.HasField("version"):
            table.cloneAtVersion(clone.version, *rest)
        elif clone.HasField("timestamp"):
            table.cloneAtTimestamp(clone.timestamp, *rest)
        else:
            table.clone(*rest)

    def _vacuum_table(self, planner: Any, vacuum: Any) -> None:
        table = self._scala.table(planner, vacuum.table)
        if vacuum.HasField("retention_hours"):
            table.vacuum(vacuum.retention_hours)
        else:
            table.vacuum()

    def _upgrade_table_protocol(self, planner: Any, upgrade: Any) -> None:
        table = self._scala.table(planner, upgrade.table)
        table.upgradeTableProtocol(upgrade.reader_version, upgrade.writer_version)

    def _generate(self, planner: Any, generate: Any) -> None:
        self._scala.table(planner, generate.table).generate(generate.mode)

    def _add_feature_support(self, planner: Any, add: Any) -> None:
        self._scala.table(planner, add.table).addFeatureSupport(add.feature_name)

    def _drop_feature_support(self, planner: Any, drop: Any) -> None:
        truncate = [drop.truncate_history] if drop.HasField("truncate_history") else []
        self._scala.table(planner, drop.table).dropFeatureSupport(drop.feature_name, *truncate)

    def _create_delta_table(self, planner: Any, create: Any) -> None:
        delta, mode = self._scala.jvm.io.delta.tables.DeltaTable, proto.CreateDeltaTable.Mode.Name(create.mode)
        start = {
            "MODE_CREATE": delta.create,
            "MODE_CREATE_IF_NOT_EXISTS": delta.createIfNotExists,
            "MODE_REPLACE": delta.replace,
            "MODE_CREATE_OR_REPLACE": delta.createOrReplace,
        }
        builder = start[mode](planner.session())
        if create.HasField("table_name"):
            builder.tableName(create.table_name)
        if create.HasField("location"):
            builder.location(create.location)
        if create.HasField("comment"):
            builder.comment(create.comment)
        for column in create.columns:
            builder.addColumn(self._column(delta.columnBuilder(planner.session(), column.name), column))
        if create.partitioning_columns:
            builder.partitionedBy(self._scala.seq(create.partitioning_columns))
        if create.clustering_columns:
            builder.clusterBy(self._scala.seq(create.clustering_columns))
        for name, value in create.properties.items():
            builder.property(name, value)
        builder.execute()

    def _column(self, builder: Any, column: Any) -> Any:
        builder.nullable(column.nullable)
        unparsed = column.data_type.HasField("unparsed")
        builder.dataType(
            column.data_type.unparsed.data_type_string if unparsed else self._scala.data_type(column.data_type)
        )
        if column.HasField("generated_always_as"):
            builder.generatedAlwaysAs(column.generated_always_as)
        if column.HasField("identity_info"):
            identity = column.identity_info
            by_default = identity.allow_explicit_insert
            generated = builder.generatedByDefaultAsIdentity if by_default else builder.generatedAlwaysAsIdentity
            generated(identity.start, identity.step)
        if column.HasField("comment"):
            builder.comment(column.comment)
        return builder.build()
