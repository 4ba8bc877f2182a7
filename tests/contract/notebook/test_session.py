"""The notebook's Spark session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.notebook.bench import Bench

NO_JVM = "[JVM_ATTRIBUTE_NOT_SUPPORTED] Directly accessing the underlying Spark driver JVM using the attribute"


def test_builders_give_the_notebooks_own_session(bench: Bench) -> None:
    bench.file(
        "/Users/me/lib_session.py",
        "from pyspark.sql import SparkSession\n"
        "mine = SparkSession.builder.master('local[*]').appName('x').config('spark.sql.shuffle.partitions', '3')"
        ".config('spark.executor.memory', '4g').enableHiveSupport().getOrCreate()\n",
    )
    ended = bench.cells(
        "from pyspark import SparkConf\nfrom pyspark.sql import SparkSession\n"
        "a = SparkSession.builder.config(conf=SparkConf().setAppName('y').setMaster('local')).getOrCreate()\n"
        "import lib_session\n"
        "from databricks.connect import DatabricksSession\n"
        "print(a is spark, lib_session.mine is spark, SparkSession.getActiveSession() is spark,"
        " SparkSession.active() is spark, DatabricksSession.builder.getOrCreate() is spark)\n"
        "print(spark.conf.get('spark.sql.shuffle.partitions'))"
    ).ok()
    assert ended.printed() == "True True True True True\n3\n"


def test_the_cluster_says_its_name_and_unknown_settings_do_no_harm(bench: Bench) -> None:
    ended = bench.cells(
        "print(spark.conf.get('spark.databricks.clusterUsageTags.clusterId'))\n"
        "spark.conf.set('spark.databricks.delta.formatCheck.enabled', 'false')\n"
        "print(spark.conf.get('spark.databricks.delta.formatCheck.enabled'), spark.conf.get('spark.x', 'default'))"
    ).ok()
    assert ended.printed() == "0000-000000-pinflow0\nfalse default\n"


def test_stop_does_not_end_the_session(bench: Bench) -> None:
    assert bench.cells("spark.stop()", "print(spark.range(3).count())").ok().printed() == "3\n"


@pytest.mark.parametrize(
    ("code", "attribute"),
    [
        ("sc.parallelize([1])", "sparkContext"),
        ("spark.sparkContext", "sparkContext"),
        ("spark.range(1)._jdf", "_jdf"),
        ("sqlContext.sparkSession", "sqlContext"),
        ("spark._jvm", "_jvm"),
    ],
)
def test_what_needs_the_jvm_fails_in_databricks_words(bench: Bench, code: str, attribute: str) -> None:
    ended = bench.cells(code)
    assert ended.state == "FAILED"
    assert ended.error.startswith(f"PySparkAttributeError: {NO_JVM} '{attribute}'")


def test_there_are_no_rdds(bench: Bench) -> None:
    assert (
        bench.cells("spark.range(1).rdd").error
        == "PySparkNotImplementedError: [NOT_IMPLEMENTED] rdd is not implemented."
    )


def test_a_spark_context_cannot_be_made(bench: Bench) -> None:
    ended = bench.cells("from pyspark.context import SparkContext\nSparkContext.getOrCreate()")
    assert "[CONTEXT_UNAVAILABLE_FOR_REMOTE_CLIENT] Remote client cannot create a SparkContext." in ended.error


def test_views_are_the_runs_own_and_global_views_are_shared(bench: Bench) -> None:
    first = bench.start(
        bench.notebook(
            "/Users/me/one",
            "spark.range(1).createOrReplaceTempView('same_name')\nspark.range(5).createOrReplaceGlobalTempView('all')\n"
            "print('views made')",
            "import time\ntime.sleep(8)",
            "print(spark.table('same_name').count())",
        )
    ).until("views made")
    second = bench.cells(
        "spark.range(2).createOrReplaceTempView('same_name')\nprint(spark.table('same_name').count())\n"
        "print(table('global_temp.all').count())"
    ).ok()
    assert second.printed() == "2\n5\n"
    assert first.wait().ok().printed(3) == "1\n"


def test_modules_of_the_workspace_are_imported_and_travel_with_functions(bench: Bench) -> None:
    bench.file("/Repos/me/project/shared.py", "def double(x):\n    return x * 2\n")
    bench.file("/Users/me/elsewhere/far.py", "WORD = 'far'\n")
    path = bench.notebook(
        "/Repos/me/project/notebooks/nb",
        "import sys\nsys.path.append('/Workspace/Users/me/elsewhere')\n"
        "from shared import double\nimport far\nprint(far.WORD)",
        "@udf('long')\ndef twice(x):\n    return double(x)\nspark.range(3).select(twice('id').alias('y')).show()",
    )
    ended = bench.run(path).ok()
    assert ended.printed(1) == "far\n" and "|  4|" in ended.printed(2)


def test_the_runtimes_modules_are_there(bench: Bench) -> None:
    ended = bench.cells(
        "from pyspark.dbutils import DBUtils\nfrom databricks.sdk.runtime import *\n"
        "from dbruntime.databricks_repl_context import get_context\n"
        "from delta.tables import DeltaTable\nfrom pyspark.sql.functions import *\nfrom pyspark.sql.types import *\n"
        "print(DBUtils(spark) is dbutils, get_context().clusterId, sql('select 1 as a').select(col('a')).first().a)"
    ).ok()
    assert ended.printed() == "True 0000-000000-pinflow0 1\n"


def test_streams_end_with_the_run(bench: Bench) -> None:
    ended = bench.cells(
        "q = spark.readStream.format('rate').load().writeStream.format('memory').queryName('ticks').start()\n"
        "print(q.isActive)"
    ).ok()
    assert ended.of("stream") and ended.of("stream")[0]["stopped"] == ["ticks"]


def test_a_stream_that_is_left_behind_has_written_its_first_rows(bench: Bench) -> None:
    """Notebooks of this pipeline start their streams in the last cells, and look at the tables in another notebook."""
    bench.cells(
        "(spark.readStream.format('rate').option('rowsPerSecond', 50).load().writeStream\n"
        " .option('checkpointLocation', '/tmp/left/checkpoint').toTable('left_rows'))"
    ).ok()
    assert bench.cells("print(spark.table('left_rows').count() > 0)").ok().printed() == "True\n"


def test_names_that_spark_4_has_taken_away(bench: Bench) -> None:
    ended = bench.cells(
        "from pyspark.sql.functions import *\n"
        "def double(frame: DataFrame) -> DataFrame:\n    return frame.withColumn('b', col('a').cast(StringType()))\n"
        "print(double(spark.sql('select 1 as a')).to_pandas_on_spark().shape)\n"
        "print(sqlContext.sql('select 2 as c').first().c)"
    ).ok()
    assert ended.printed() == "(1, 2)\n2\n"


def test_a_star_brings_what_it_brought_in_spark_3(bench: Bench) -> None:
    recorded = Path(__file__).with_name("spark_3_functions.txt").read_text()
    names = " ".join(line for line in recorded.splitlines() if not line.startswith("#")).split()
    assert len(names) > 400
    bench.file("/Users/me/lib_star.py", "from pyspark.sql.functions import *\nmean_of = lambda x: np.mean(x)\n")
    ended = bench.cells(
        f"names = {names}\n"
        "given = {}\nexec('from pyspark.sql.functions import *', given)\nimport lib_star, pyspark.sql.functions as F\n"
        "print([n for n in names if n not in given or n not in vars(lib_star) or not hasattr(F, n)])\n"
        "print(lib_star.mean_of([1, 3]), given['Optional'][given['DataFrame']], given['List'][int])"
    ).ok()
    assert ended.printed() == "[]\n2.0 typing.Optional[pyspark.sql.dataframe.DataFrame] typing.List[int]\n"


def test_functions_that_spark_4_has_deprecated_still_compute(bench: Bench) -> None:
    ended = bench.cells(
        "from pyspark.sql.functions import (approxCountDistinct, bitwiseNOT, countDistinct, shiftLeft, shiftRight,\n"
        "    shiftRightUnsigned, sumDistinct, toDegrees, toRadians)\n"
        "rows = spark.sql('select * from values (1, -8), (1, -8), (2, 5) as t(a, b)')\n"
        "print(*rows.agg(countDistinct('a', 'b'), sumDistinct('a'), approxCountDistinct('a')).first())\n"
        "print(*rows.select(bitwiseNOT('b'), shiftLeft('b', 2), shiftRight('b', 1), shiftRightUnsigned('b', 28),\n"
        "    toDegrees('a').cast('int'), toRadians('a').cast('decimal(5,4)')).first())"
    ).ok()
    assert ended.printed() == "2 3 2\n7 -32 -4 15 57 0.0175\n"


def test_table_is_an_alias_of_to_table(bench: Bench) -> None:
    ended = bench.cells(
        "import tempfile\n"
        "q = (spark.readStream.format('rate').option('rowsPerSecond', 50).load().writeStream\n"
        "     .option('checkpointLocation', tempfile.mkdtemp()).outputMode('append').table('rate_rows'))\n"
        "import time\n"
        "for _ in range(60):\n"
        "    if spark.table('rate_rows').count():\n        break\n"
        "    time.sleep(0.5)\n"
        "print(spark.table('rate_rows').count() > 0)"
    ).ok()
    assert ended.printed() == "True\n"


def test_sql_takes_parameters_beside_delta(bench: Bench) -> None:
    ended = bench.cells(
        "print(spark.sql(\"select :a as a, ':a' as b, :d as d, cast('1'::int as long) as e\", "
        "args={'a': \"it's\", 'd': 1.5}).first())\n"
        "print(spark.sql('select ? + ? as s', [1, 2]).first().s)\n"
        "print(spark.sql('select count(*) as n from {frame}', frame=spark.range(4)).first().n)"
    ).ok()
    assert ended.printed() == "Row(a=\"it's\", b=':a', d=1.5, e=1)\n3\n4\n"
