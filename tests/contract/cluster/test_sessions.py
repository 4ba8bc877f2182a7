"""What a notebook's session finds on the cluster, and what sessions share."""

from __future__ import annotations

import uuid

import pytest

from services.databricks.workspace.events import open_sessions
from services.spark import native
from tests.contract.cluster.conftest import ACCESS_KEY, SECRET_KEY, World


def test_the_settings_of_the_runtime(world: World) -> None:
    ended = world.bench.cells(
        "get = spark.conf.get\n"
        "print(get('spark.databricks.clusterUsageTags.clusterId'), get('spark.sql.ansi.enabled'))\n"
        "spark.conf.set('spark.databricks.unheard.of', 'x')\n"
        "spark.sql('SET spark.databricks.delta.formatCheck.enabled=false')\n"
        "print(spark.conf.get('spark.databricks.unheard.of'))\n"
        "row = spark.sql(\"select cast('x' as int), 1 / 0, element_at(array(1), 5), current_timezone()\").first()\n"
        "print(list(row))"
    ).ok()
    assert ended.printed() == f"{world.profile.databricks.cluster_id} false\nx\n[None, None, None, 'UTC']\n"


def test_columns_of_an_older_data_frame_are_found_by_their_names(world: World) -> None:
    """As notebooks write it for classic Spark; Spark Connect by itself refuses."""
    ended = world.bench.cells(
        "from pyspark.sql.functions import col, max as greatest\n"
        "df = spark.createDataFrame([('a', 1), ('a', 2), ('b', 3)], ['k', 'v'])\n"
        "print(df.withColumn('v', col('v') + 1).filter(df.v > 2).count())\n"
        "top = df.groupBy('k').agg(greatest('v').alias('top'))\n"
        "print(df.join(top, (df.k == top.k) & (df.v == top.top)).count())"
    ).ok()
    assert ended.printed() == "2\n2\n"


def test_the_keys_that_a_workspace_starts_with(world: World) -> None:
    ended = world.bench.cells(
        "frames = [\n"
        "    spark.read.csv('/FileStore/tables/authentication_credentials.csv', sep=',', header=True),\n"
        "    spark.read.format('delta').load('dbfs:/user/hive/warehouse/authentication_credentials'),\n"
        "    spark.table('authentication_credentials'),\n]\n"
        "for frame in frames:\n    print(frame.columns, [list(row) for row in frame.collect()])"
    ).ok()
    columns, row = ["User name", "Access key ID", "Secret access key"], ["databricks-user", ACCESS_KEY, SECRET_KEY]
    assert ended.printed() == f"{columns} {[row]}\n" * 3
    file = native.home(world.profile) / "dbfs" / "FileStore" / "tables" / "authentication_credentials.csv"
    assert file.stat().st_mode & 0o777 == 0o600


def test_views_are_a_sessions_own_and_global_views_and_tables_are_everybodys(world: World) -> None:
    world.bench.cells(
        "spark.range(2).createOrReplaceTempView('own')\n"
        "spark.range(3).createOrReplaceGlobalTempView('everybodys')\n"
        "spark.range(4).write.mode('overwrite').saveAsTable('shared')"
    ).ok()
    ended = world.bench.cells(
        "print(spark.sql('select * from global_temp.everybodys').count(), spark.table('shared').count())\n"
        "spark.table('own').count()"
    )
    assert ended.printed() == "3 4\n"
    assert "[TABLE_OR_VIEW_NOT_FOUND]" in ended.error


def test_the_stream_of_a_process_that_was_killed_is_stopped_with_its_session(world: World) -> None:
    notebook = world.bench.notebook(
        "/Users/me/streams",
        "spark.readStream.format('rate').load().writeStream.format('delta')"
        ".option('checkpointLocation', '/tmp/killed/checkpoint').start('/tmp/killed/table')\n"
        "print('streams')\nimport time\ntime.sleep(60)",
    )
    session = str(uuid.uuid4())
    running = world.bench.start(notebook, session_id=session).until("streams")
    running.process.kill()
    running.process.wait()
    asked = {"session_id": session, "user_id": "local@pinflow"}
    assert world.control("/sessions/close", **asked).json() == {"closed": True}
    assert world.control("/sessions/close", **asked).json() == {"closed": False}


@pytest.mark.parametrize("ending", ["import os\nos.kill(os.getpid(), 9)", "print('the parent ends well')"])
def test_the_stream_of_a_notebook_that_a_run_ran_is_found_by_its_events(world: World, ending: str) -> None:
    world.bench.notebook(
        "/Users/me/kids/streams",
        "spark.readStream.format('rate').load().writeStream.format('noop').start()\n"
        "open('/dbfs/tmp/streams', 'w').close()\nimport time\ntime.sleep(60)",
    )
    ended = world.bench.cells(
        "import os, threading, time\n"
        "if os.path.exists('/dbfs/tmp/streams'):\n    os.remove('/dbfs/tmp/streams')\n"
        "threading.Thread(target=dbutils.notebook.run, args=('/Users/me/kids/streams', 0), daemon=True).start()\n"
        "while not os.path.exists('/dbfs/tmp/streams'):\n    time.sleep(0.1)\n" + ending
    )
    (session,) = open_sessions(ended.output / "child-1")
    asked = {"session_id": session, "user_id": "local@pinflow"}
    assert world.control("/sessions/close", **asked).json() == {"closed": True}
