"""The server's half of Delta Connect: what `delta.tables.DeltaTable` of a Spark Connect client sends.

Delta publishes it as a plugin of the Connect server (delta-connect-server), which Maven Central does not have for
this version. This one is called by the JVM through py4j, reads the messages with the classes of the Python package
(delta.connect.proto) and carries them out with Delta's own classes in the JVM.

Messages: https://github.com/delta-io/delta, spark-connect/common/src/main/protobuf/delta/connect
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from py4j.java_collections import ListConverter, MapConverter
from pyspark import SparkContext

from services.spark import compat
from services.spark.compat import PLUGINS, as_java_exception


def messages() -> Any:
    """The classes of the messages. With the first of them comes pandas: too much for a driver that gets none."""
    from delta.connect import proto

    return proto


def register(context: SparkContext) -> None:
    """Make the Connect server of this driver ask the two plugins below."""
    gateway = compat.gateway_of(context)
    compat.propagate_java_exceptions(gateway)
    compat.register_connect_plugins(gateway, relation=RelationPlugin(gateway), command=CommandPlugin(gateway))


class RelationPlugin:
    """Answers with a table, a list or a number; called by the JVM, as org.apache.spark.sql.connect.plugin says."""

    class Java:
        implements = [f"{PLUGINS}.RelationPlugin"]  # noqa: RUF012

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    @as_java_exception
    def transform(self, message: bytes, planner: Any) -> Any:
        packed, relation = Packed.FromString(bytes(message)), messages().DeltaRelation()
        if not packed.Unpack(relation):
            return self._gateway.jvm.java.util.Optional.empty()
        kind = relation.WhichOneof("relation_type")
        plan = getattr(Relations(self._gateway, planner), kind)(getattr(relation, kind))
        return self._gateway.jvm.java.util.Optional.of(plan)


class CommandPlugin:
    """Does something and answers nothing."""

    class Java:
        implements = [f"{PLUGINS}.CommandPlugin"]  # noqa: RUF012

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    @as_java_exception
    def process(self, message: bytes, planner: Any) -> bool:
        packed, command = Packed.FromString(bytes(message)), messages().DeltaCommand()
        if not packed.Unpack(command):
            return False
        kind = command.WhichOneof("command_type")
        getattr(Commands(self._gateway, planner), kind)(getattr(command, kind))
        return True


class Converter:
    """Messages of one request as objects of Scala, in the session that asks."""

    def __init__(self, gateway: Any, planner: Any) -> None:
        self.jvm, self.client = gateway.jvm, compat.client_of(gateway)
        self.planner, self.session = planner, planner.session()
        self.plans = gateway.jvm.org.apache.spark.sql.catalyst.plans.logical
        self.delta = gateway.jvm.io.delta.tables.DeltaTable

    def seq(self, values: Iterable[Any]) -> Any:
        return self.jvm.PythonUtils.toSeq(ListConverter().convert(list(values), self.client))

    def option(self, value: Any | None) -> Any:
        return self.jvm.scala.Option.apply(value)

    def hash_map(self, values: Mapping[str, str]) -> Any:
        return MapConverter().convert(dict(values), self.client)

    def parse(self, kind: str, message: Any) -> Any:
        """A Connect message as the JVM's own class of that name."""
        return getattr(self.jvm.org.apache.spark.connect.proto, kind).parseFrom(bytearray(message.SerializeToString()))

    def logical_plan(self, relation: Any) -> Any:
        return self.planner.transformRelation(self.parse("Relation", relation))

    def expression(self, expression: Any) -> Any:
        return self.planner.transformExpression(self.parse("Expression", expression))

    def condition(self, message: Any) -> Any:
        """The message's condition, an Option."""
        return self.option(self.expression(message.condition) if message.HasField("condition") else None)

    def assignments(self, assignments: Any) -> Any:
        pairs = ((self.expression(each.field), self.expression(each.value)) for each in assignments)
        return self.seq(self.plans.Assignment(field, value) for field, value in pairs)

    def data_type(self, data_type: Any) -> Any:
        converter = self.jvm.org.apache.spark.sql.connect.common.DataTypeProtoConverter
        return converter.toCatalystType(self.parse("DataType", data_type))

    def table(self, table: Any) -> Any:
        """The io.delta.tables.DeltaTable of a message."""
        if table.HasField("path"):
            return self.delta.forPath(self.session, table.path.path, self.hash_map(table.path.hadoop_conf))
        return self.delta.forName(self.session, table.table_or_view_name)


class Relations(Converter):
    """A method for each kind of relation; each returns a logical plan."""

    def scan(self, scan: Any) -> Any:
        return self.table(scan.table).toDF().queryExecution().analyzed()

    def describe_history(self, describe: Any) -> Any:
        return self.table(describe.table).history().queryExecution().analyzed()

    def describe_detail(self, describe: Any) -> Any:
        return self.table(describe.table).detail().queryExecution().analyzed()

    def convert_to_delta(self, convert: Any) -> Any:
        arguments = [self.session, convert.identifier]
        if convert.HasField("partition_schema_struct"):
            arguments.append(self.data_type(convert.partition_schema_struct))
        elif convert.HasField("partition_schema_string"):
            arguments.append(convert.partition_schema_string)
        self.delta.convertToDelta(*arguments)
        # What the client then asks for: a table of the catalog keeps its name, parquet.`/a` is delta.`/a` from now on.
        name = re.sub(r"^\s*parquet\s*\.(?=\s*`)", "delta.", convert.identifier, flags=re.IGNORECASE)
        return self._one_row(name, "STRING")

    def restore_table(self, restore: Any) -> Any:
        table = self.table(restore.table)
        if restore.HasField("version"):
            return table.restoreToVersion(restore.version).queryExecution().commandExecuted()
        return table.restoreToTimestamp(restore.timestamp).queryExecution().commandExecuted()

    def is_delta_table(self, asked: Any) -> Any:
        return self._one_row(self.delta.isDeltaTable(self.session, asked.path), "BOOLEAN")

    def delete_from_table(self, delete: Any) -> Any:
        if delete.HasField("condition"):
            condition = self.expression(delete.condition)
        else:
            literal = "org.apache.spark.sql.catalyst.expressions.Literal"
            condition = compat.scala_object(self.jvm, literal).TrueLiteral()
        return self._executed(self.plans.DeleteFromTable(self.logical_plan(delete.target), condition))

    def update_table(self, update: Any) -> Any:
        target, condition = self.logical_plan(update.target), self.condition(update)
        return self._executed(self.plans.UpdateTable(target, self.assignments(update.assignments), condition))

    def merge_into_table(self, merge: Any) -> Any:
        clauses = [
            *(self._clause("Matched", action) for action in merge.matched_actions),
            *(self._clause("NotMatched", action) for action in merge.not_matched_actions),
            *(self._clause("NotMatchedBySource", action) for action in merge.not_matched_by_source_actions),
        ]
        plan = compat.scala_object(self.jvm, "org.apache.spark.sql.catalyst.plans.logical.DeltaMergeInto").apply(
            self.logical_plan(merge.target),
            self.logical_plan(merge.source),
            self.expression(merge.condition),
            self.seq(clauses),
            merge.with_schema_evolution,
        )
        return self._executed(plan)

    def optimize_table(self, optimize: Any) -> Any:
        builder = self.table(optimize.table).optimize()
        for partition_filter in optimize.partition_filters:
            builder = builder.where(partition_filter)
        columns = list(optimize.zorder_columns)
        frame = builder.executeZOrderBy(self.seq(columns)) if columns else builder.executeCompaction()
        return frame.queryExecution().commandExecuted()

    def _clause(self, when: str, action: Any) -> Any:
        """A WHEN clause: DeltaMergeInto<when><Update|Delete|Insert>Clause."""
        condition, kind = self.condition(action), action.WhichOneof("action_type")
        what = kind.partition("_")[0].capitalize()
        clause = getattr(self.plans, f"DeltaMergeInto{when}{what}Clause")
        if what == "Delete":
            return clause(condition)
        if kind.endswith("_star_action"):
            star = self.jvm.org.apache.spark.sql.catalyst.analysis.UnresolvedStar(self.option(None))
            return clause(condition, self.seq([star]))
        assignments = self.assignments(getattr(action, kind).assignments)
        return clause(condition, self.plans.DeltaMergeIntoClause.toActions(assignments))

    def _executed(self, plan: Any) -> Any:
        """Carry out a command; the plan of its result."""
        frame = compat.scala_object(self.jvm, "org.apache.spark.sql.classic.Dataset").ofRows(self.session, plan)
        return frame.queryExecution().commandExecuted()

    def _one_row(self, value: Any, encoder: str) -> Any:
        values = self.jvm.java.util.Collections.singletonList(value)
        encoder_of = getattr(self.jvm.org.apache.spark.sql.Encoders, encoder)
        return self.session.createDataset(values, encoder_of()).queryExecution().analyzed()


class Commands(Converter):
    """A method for each kind of command."""

    def clone_table(self, clone: Any) -> None:
        table = self.table(clone.table)
        rest = (clone.target, clone.is_shallow, clone.replace, self.hash_map(clone.properties))
        if clone.HasField("version"):
            table.cloneAtVersion(clone.version, *rest)
        elif clone.HasField("timestamp"):
            table.cloneAtTimestamp(clone.timestamp, *rest)
        else:
            table.clone(*rest)

    def vacuum_table(self, vacuum: Any) -> None:
        self.table(vacuum.table).vacuum(*([vacuum.retention_hours] if vacuum.HasField("retention_hours") else []))

    def upgrade_table_protocol(self, upgrade: Any) -> None:
        self.table(upgrade.table).upgradeTableProtocol(upgrade.reader_version, upgrade.writer_version)

    def generate(self, generate: Any) -> None:
        self.table(generate.table).generate(generate.mode)

    def add_feature_support(self, add: Any) -> None:
        self.table(add.table).addFeatureSupport(add.feature_name)

    def drop_feature_support(self, drop: Any) -> None:
        truncate = [drop.truncate_history] if drop.HasField("truncate_history") else []
        self.table(drop.table).dropFeatureSupport(drop.feature_name, *truncate)

    def create_delta_table(self, create: Any) -> None:
        start = {
            "MODE_CREATE": self.delta.create,
            "MODE_CREATE_IF_NOT_EXISTS": self.delta.createIfNotExists,
            "MODE_REPLACE": self.delta.replace,
            "MODE_CREATE_OR_REPLACE": self.delta.createOrReplace,
        }
        builder = start[messages().CreateDeltaTable.Mode.Name(create.mode)](self.session)
        if create.HasField("table_name"):
            builder.tableName(create.table_name)
        if create.HasField("location"):
            builder.location(create.location)
        if create.HasField("comment"):
            builder.comment(create.comment)
        for column in create.columns:
            builder.addColumn(self._column(column))
        if create.partitioning_columns:
            builder.partitionedBy(self.seq(create.partitioning_columns))
        if create.clustering_columns:
            builder.clusterBy(self.seq(create.clustering_columns))
        for name, value in create.properties.items():
            builder.property(name, value)
        builder.execute()

    def _column(self, column: Any) -> Any:
        builder = self.delta.columnBuilder(self.session, column.name)
        builder.nullable(column.nullable)
        unparsed = column.data_type.HasField("unparsed")
        builder.dataType(column.data_type.unparsed.data_type_string if unparsed else self.data_type(column.data_type))
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
