"""Streams that fail fail the run, as in a Databricks job."""

from __future__ import annotations

import pytest

from tests.contract.notebook.bench import Bench

RATE = "spark.readStream.format('rate').option('rowsPerSecond', 50).load()"
FAILING = (
    f"{RATE}.selectExpr('raise_error(concat(\"boom \", value)) as v')"
    ".writeStream.option('checkpointLocation', __import__('tempfile').mkdtemp()).toTable('failing_{0}')"
)
ENDED = "import time\nwhile q.isActive:\n    time.sleep(0.1)\n"


def test_a_stream_that_fails_after_the_last_cell_fails_the_run(bench: Bench) -> None:
    ended = bench.cells("x = 1", f"q = {FAILING.format('late')}", "print('all cells ran')")
    assert (ended.state, ended.printed(3)) == ("FAILED", "all cells ran\n")
    assert ended.error.startswith("StreamingQueryException: [STREAM_FAILED] Query [id = ") and "\n" not in ended.error
    assert "boom" in ended.result["error_trace"]
    (error,) = ended.of("error")
    assert (error["cell"], error["summary"]) == (2, ended.error)


def test_a_stream_that_failed_long_ago_is_not_forgotten(bench: Bench) -> None:
    ended = bench.cells(f"q = {FAILING.format('early')}\n{ENDED}", "print(spark.streams.active)")
    assert ended.printed(2) == "[]\n" and ended.state == "FAILED" and "[STREAM_FAILED]" in ended.error


def test_the_value_of_exit_does_not_hide_it(bench: Bench) -> None:
    ended = bench.cells(f"q = {FAILING.format('exit')}", "dbutils.notebook.exit('fine')")
    assert (ended.state, ended.value) == ("FAILED", None) and "[STREAM_FAILED]" in ended.error


def test_the_error_of_a_later_cell_stays_the_runs_and_the_streams_is_shown_too(bench: Bench) -> None:
    ended = bench.cells(f"q = {FAILING.format('other')}\n{ENDED}", "1 / 0")
    assert ended.error == "ZeroDivisionError: division by zero"
    assert [(event["cell"], event["ename"]) for event in ended.of("error")] == [
        (2, "ZeroDivisionError"),
        (1, "StreamingQueryException"),
    ]


@pytest.mark.parametrize(
    "code",
    [
        "from pyspark.errors import StreamingQueryException\n"
        "try:\n    q.awaitTermination()\n"
        "except StreamingQueryException as error:\n    print('taken', 'boom' in str(error))",
        "try:\n    q.processAllAvailable()\nexcept Exception as error:\n    print('taken', 'boom' in str(error))",
        "try:\n    spark.streams.awaitAnyTermination()\n"
        "except Exception as error:\n    print('taken', 'boom' in str(error))",
        f"{ENDED}print('taken', 'boom' in str(q.exception()))",
    ],
    ids=["awaitTermination", "processAllAvailable", "awaitAnyTermination", "exception"],
)
def test_an_exception_that_the_notebook_takes_is_no_failure(bench: Bench, code: str) -> None:
    ended = bench.cells(f"q = {FAILING.format(abs(hash(code)))}\n{code}").ok()
    assert ended.printed() == "taken True\n"


def test_an_exception_that_is_not_caught_fails_its_cell(bench: Bench) -> None:
    ended = bench.cells(f"q = {FAILING.format('await')}", "q.awaitTermination()", "print('never')")
    assert ended.state == "FAILED" and ended.error.startswith("StreamingQueryException: [STREAM_FAILED]")
    assert [event["cell"] for event in ended.of("error")] == [2]


def test_a_stream_that_was_stopped_is_no_failure(bench: Bench) -> None:
    bench.cells(
        f"q = {RATE}.writeStream.format('memory').queryName('stopped').start()\nq.stop()\nprint(q.isActive)"
    ).ok()


def test_streams_of_threads_count(bench: Bench) -> None:
    ended = bench.cells(
        "import threading\n"
        f"def run():\n    q = {FAILING.format('thread')}\n    q.awaitTermination()\n"
        "thread = threading.Thread(target=run)\nthread.start()\nthread.join()\nprint('joined')"
    )
    assert ended.printed() == "joined\n" and ended.state == "FAILED" and "[STREAM_FAILED]" in ended.error


def test_a_stream_that_takes_what_is_available_is_waited_for(bench: Bench) -> None:
    """Each file is a batch of its own, and a slow one: the first rows are not all."""
    for n in range(4):
        bench.file(f"/Users/me/json/{n}.json", f'{{"n": {n}}}\n')
    given = f"spark.readStream.schema('n int').option('maxFilesPerTrigger', 1).json('{bench.workspace}/Users/me/json')"
    slow = "selectExpr(\"if(java_method('java.lang.Thread', 'sleep', 1500L) is null, n, n) as n\")"
    to = f"option('checkpointLocation', '{bench.workspace}/{{0}}-checkpoint').toTable('{{0}}')"
    start = f"writeStream.trigger(availableNow=True).{to}"
    bench.cells(f"{given}.{slow}.{start.format('available')}").ok()
    assert bench.cells("print(spark.table('available').count())").ok().printed() == "4\n"
    ended = bench.cells(f"{given}.selectExpr('assert_true(n < 3) as n').{start.format('not_available')}")
    assert ended.state == "FAILED" and "[STREAM_FAILED]" in ended.error


def test_a_stream_of_a_notebook_that_this_one_runs_fails_both(bench: Bench) -> None:
    bench.notebook("/Users/me/child_stream", f"q = {FAILING.format('child')}")
    ended = bench.cells("dbutils.notebook.run('child_stream', 120)")
    assert ended.state == "FAILED"
    assert "WorkflowException" in ended.error and "[STREAM_FAILED]" in ended.error
