"""How runs end: errors, cancellation, what they leave behind, a cluster that is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.contract.notebook.bench import Bench, Server
from tests.contract.notebook.control import Control


def test_an_exception_in_cell_3_ends_the_run_there(bench: Bench) -> None:
    ended = bench.cells("x = 1", "# MAGIC %md text", "def f():\n    return x / 0\nf()", "print('never')")
    assert (ended.status, ended.state, ended.error) == (0, "FAILED", "ZeroDivisionError: division by zero")
    (error,) = ended.of("error")
    assert error["cell"] == 3 and error["ename"] == "ZeroDivisionError"
    assert "Cell In[3], line 3" in error["traceback"] and "\x1b" not in error["traceback"]
    assert [e["cell"] for e in ended.of("cell_start")] == [1, 2, 3]


def test_a_syntax_error_names_its_line(bench: Bench) -> None:
    ended = bench.cells("x = 1\nfor in y:")
    assert ended.error.startswith("SyntaxError: invalid syntax")
    assert "line 2" in ended.result["error_trace"] and "for in y:" in ended.result["error_trace"]


def test_a_magic_that_does_not_exist_fails_the_cell(bench: Bench) -> None:
    assert "nosuchmagic" in bench.cells("%nosuchmagic 1").error


@pytest.mark.parametrize("code", ["import sys\nsys.exit('enough')", "exit(3)"])
def test_leaving_python_fails_the_run(bench: Bench, code: str) -> None:
    ended = bench.cells(code, "print('never')")
    assert ended.state == "FAILED" and ended.error.startswith("SystemExit: ") and ended.printed() == ""


def test_input_is_refused_clearly(bench: Bench) -> None:
    assert "input() cannot ask anybody in a notebook run" in bench.cells("input('name? ')").error


def test_a_path_that_is_not_there(bench: Bench) -> None:
    ended = bench.cells("spark.read.json('/no/such/path').show()")
    assert ended.state == "FAILED" and "PATH_NOT_FOUND" in ended.error


def test_cancel_ends_an_endless_loop_that_catches_everything(bench: Bench) -> None:
    running = bench.start(
        bench.notebook(
            "/Users/me/loop",
            "print('go')\nwhile True:\n    try:\n        import time; time.sleep(1)\n    except:\n        pass",
        )
    ).until("go")
    asked = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    ended = running.wait(30)
    assert time.monotonic() - asked < 20, "4 s on a machine that does nothing else"
    assert (ended.status, ended.state) == (143, "CANCELED")


def test_cancel_interrupts_the_cluster(bench: Bench) -> None:
    slow = "print('go')\nspark.range(4).selectExpr(\"java_method('java.lang.Thread', 'sleep', 90000L + id)\").collect()"
    running = bench.start(bench.notebook("/Users/me/slow", slow)).until("go")
    time.sleep(1.5)
    running.process.send_signal(signal.SIGTERM)
    ended = running.wait(30)
    assert ended.state == "CANCELED"
    before = time.monotonic()
    assert bench.cells("print(spark.range(8).repartition(4).count())").ok().printed() == "8\n"
    assert time.monotonic() - before < 80, "the cancelled query still held the cluster"


def test_threads_and_processes_end_with_the_run(bench: Bench) -> None:
    ended = bench.cells(
        "import subprocess, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "print(subprocess.Popen(['sleep', '600']).pid)\n"
        "left = ['bash', '-c', 'setsid sleep 600 > /dev/null 2>&1 & echo $!']\n"
        "print(subprocess.run(left, capture_output=True, text=True).stdout)"
    ).ok()
    assert ended.seconds < 120
    for pid in ended.printed().split():
        assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_a_process_that_dies_leaves_no_result(bench: Bench) -> None:
    ended = bench.cells("print('before')\nimport os\nos._exit(9)")
    assert ended.status == 9 and not ended.of("result")


def test_a_warm_process_ends_when_nobody_needs_it(bench: Bench) -> None:
    process = bench._start()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0


@pytest.mark.long
def test_a_cluster_that_is_lost_fails_the_run_and_the_next_one_works(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    server.start()
    control = Control(tmp_path / "dbfs")
    bench = Bench(tmp_path, server.remote, control)
    try:
        running = bench.start(
            bench.notebook(
                "/Users/me/victim",
                "x = 1",
                "print('go')\nimport time\nwhile True:\n    spark.range(10).count()\n    time.sleep(0.2)",
                "print('never')",
            )
        ).until("go")
        server.kill_all()
        killed = time.monotonic()
        server.start()
        ended = running.wait(60)
        assert time.monotonic() - killed < 45
        assert (ended.status, ended.state) == (0, "FAILED")
        assert ended.error.startswith("The Spark driver has stopped unexpectedly")
        assert "in cell 2" in ended.error and "Run the notebook again" in ended.error
        assert bench.cells("print(spark.range(3).count())").ok().printed() == "3\n"
    finally:
        bench.stop()
        control.stop()
        server.kill_all()


@pytest.mark.long
def test_without_a_cluster_the_run_fails_in_bounded_time(bench: Bench) -> None:
    ended = bench.cells("print(1)", remote="sc://127.0.0.1:1")
    assert ended.state == "FAILED" and "before the first cell" in ended.error
    assert ended.seconds < 90


def test_an_empty_run_is_quick_and_small(bench: Bench) -> None:
    path = bench.notebook("/Users/me/figures", "print(open('/proc/self/smaps_rollup').read())")
    time.sleep(6)
    ended = bench.run(path).ok()
    pss = next(int(line.split()[1]) for line in ended.printed().splitlines() if line.startswith("Pss:"))
    assert ended.seconds < 30 and pss / 1024 < 170, (ended.seconds, pss, os.getloadavg())
