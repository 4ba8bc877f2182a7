"""`from delta.tables import DeltaTable` in a notebook."""

from __future__ import annotations

from tests.contract.cluster.conftest import World

START = (
    "from delta.tables import DeltaTable\nfrom pyspark.sql.functions import col, expr, lit\n"
    "def rows(table):\n    return [tuple(row) for row in table.toDF().orderBy('id').collect()]\n"
)


def test_merge_update_and_delete(world: World) -> None:
    ended = world.bench.cells(
        START + "spark.range(5).withColumn('v', lit('a')).write.saveAsTable('changed')\n"
        "table = DeltaTable.forName(spark, 'changed')\n"
        "new = spark.range(3, 7).withColumn('v', lit('b'))\n"
        "(table.alias('t').merge(new.alias('s'), 't.id = s.id')\n"
        "    .whenMatchedDelete('s.id = 3').whenMatchedUpdate(condition=col('s.id') == 4, set={'v': 's.v'})\n"
        "    .whenNotMatchedInsertAll('s.id < 6')\n"
        "    .whenNotMatchedBySourceUpdate('t.id = 0', {'v': lit('gone')}).execute())\n"
        "print(rows(table))",
        "table.delete((col('id') == 1) | expr('id = 0'))\n"
        "table.update('id = 2', {'v': \"'z'\"})\ntable.update(set={'v': expr(\"concat(v, '!')\")})\n"
        "print(rows(table))",
        "print([row.operation for row in table.history().orderBy('version').collect()], table.history(1).count())",
    ).ok()
    assert ended.printed(1) == "[(0, 'gone'), (1, 'a'), (2, 'a'), (4, 'b'), (5, 'b')]\n"
    assert ended.printed(2) == "[(2, 'z!'), (4, 'b!'), (5, 'b!')]\n"
    operations = ["CREATE TABLE AS SELECT", "MERGE", "DELETE", "UPDATE", "UPDATE"]
    assert ended.printed(3) == f"{operations} 1\n"


def test_tables_are_made_converted_and_kept_small(world: World) -> None:
    ended = world.bench.cells(
        START + "made = (DeltaTable.createIfNotExists(spark).tableName('made').addColumn('id', 'INT')\n"
        "    .addColumn('name', 'STRING', comment='a name').addColumn('next', 'INT', generatedAlwaysAs='id + 1')\n"
        "    .partitionedBy('name').property('k', 'v').execute())\n"
        "print(made.toDF().schema.simpleString())\n"
        "DeltaTable.createOrReplace(spark).tableName('made').addColumns(spark.range(1).schema).execute()\n"
        "print(spark.table('made').schema.simpleString())",
        "spark.range(4).withColumn('p', col('id') % 2).write.partitionBy('p').parquet('/tmp/converted')\n"
        "converted = DeltaTable.convertToDelta(spark, 'parquet.`/tmp/converted`', 'p bigint')\n"
        "print(rows(converted), DeltaTable.isDeltaTable(spark, '/tmp/converted'),"
        " DeltaTable.isDeltaTable(spark, '/tmp'))",
        "path = DeltaTable.forPath(spark, 'dbfs:/tmp/converted')\n"
        "path.optimize().where('p = 0').executeCompaction()\npath.vacuum()\n"
        "print(rows(path))",
    ).ok()
    assert ended.printed(1) == "struct<id:int,name:string,next:int>\nstruct<id:bigint>\n"
    assert ended.printed(2) == "[(0, 0), (1, 1), (2, 0), (3, 1)] True False\n"
    assert ended.printed(3) == "[(0, 0), (1, 1), (2, 0), (3, 1)]\n"


def test_merge_in_each_batch_of_a_stream(world: World) -> None:
    ended = world.bench.cells(
        START + "spark.range(3).write.saveAsTable('arriving')\nspark.range(1).write.saveAsTable('merged')\n"
        "def merge(batch, number):\n"
        "    target = DeltaTable.forName(batch.sparkSession, 'merged').alias('t')\n"
        "    target.merge(batch.alias('s'), 't.id = s.id').whenNotMatchedInsertAll().execute()\n"
        "query = spark.readStream.table('arriving').writeStream.foreachBatch(merge).trigger(availableNow=True)\n"
        "query.option('checkpointLocation', '/tmp/merged').start().awaitTermination()\n"
        "print(spark.table('merged').count())"
    ).ok()
    assert ended.printed() == "3\n"


def test_what_goes_wrong_is_deltas_own_error(world: World) -> None:
    ended = world.bench.cells(
        START + "spark.range(1).write.saveAsTable('small')\n"
        "for call in (\n"
        "    lambda: DeltaTable.forName(spark, 'nowhere').toDF().count(),\n"
        "    lambda: DeltaTable.forPath(spark, '/tmp/nowhere').toDF().count(),\n"
        "    lambda: DeltaTable.forName(spark, 'small').delete('nocolumn = 1'),\n"
        "    lambda: DeltaTable.forName(spark, 'small').vacuum(0),\n"
        "):\n"
        "    try:\n        call()\n    except Exception as error:\n"
        "        print(type(error).__name__, str(error).partition(']')[0])"
    ).ok()
    assert ended.printed().splitlines() == [
        "AnalysisException [DELTA_MISSING_DELTA_TABLE",
        "AnalysisException [DELTA_MISSING_DELTA_TABLE",
        "AnalysisException [UNRESOLVED_COLUMN.WITH_SUGGESTION",
        "IllegalArgumentException [DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT",
    ]
