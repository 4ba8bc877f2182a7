"""Python processes that Spark starts for a query: they connect back before they import, for Spark waits 10 s only."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WORKERS = Path(__file__).parents[3] / "services" / "spark" / "workers"
SECRET = "a-secret-of-spark"
PATIENCE = 60.0
WAITING_PYSPARK = """
import os, time
while not os.path.exists(os.environ["GO"]):
    time.sleep(0.05)
"""


class Spark:
    """Spark's side, as PythonWorkerFactory does it: listen, start the process, wait, authenticate, read its pid."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def connected(self) -> socket.socket:
        """The worker's connection, authenticated."""
        self._listener.settimeout(PATIENCE)
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        assert self.read(connection, int.from_bytes(self.read(connection, 4), "big")) == SECRET.encode()
        connection.sendall(b"\x00\x00\x00\x02ok")
        return connection

    @staticmethod
    def read(connection: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = connection.recv(size - len(data))
            assert chunk, "the worker has closed its connection"
            data += chunk
        return data


@contextmanager
def worker(module: str, *path: Path, **variables: str) -> Iterator[tuple[Spark, subprocess.Popen[bytes]]]:
    """A worker as Spark starts it; killed at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = os.environ | variables
        environment |= {
            "PYTHONPATH": os.pathsep.join(str(each) for each in (WORKERS, *path)),
            "PYTHON_WORKER_FACTORY_PORT": str(listener.getsockname()[1]),
            "PYTHON_WORKER_FACTORY_SECRET": SECRET,
        }
        process = subprocess.Popen([sys.executable, "-m", module], env=environment)
        try:
            yield Spark(listener), process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A PySpark whose import lasts until the file `go` is there."""
    package = tmp_path / "pyspark"
    package.mkdir()
    (package / "__init__.py").write_text(WAITING_PYSPARK)
    (package / "worker_util.py").write_text("local_connect_and_auth = None\n")
    (package / "main.py").write_text("print('carried out')\n")
    return tmp_path


def test_it_connects_before_its_imports_have_ended(waiting: Path) -> None:
    go = waiting / "go"
    with worker("pyspark.main", waiting, GO=str(go)) as (spark, process), spark.connected():
        assert process.poll() is None
        go.touch()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "module",
    [
        "pyspark.sql.streaming.python_streaming_source_runner",
        "pyspark.sql.connect.streaming.worker.foreach_batch_worker",
    ],
)
def test_pyspark_takes_the_connection_up(module: str) -> None:
    with worker(module) as (spark, process), spark.connected() as connection:
        assert int.from_bytes(spark.read(connection, 4), "big") == process.pid


def test_what_a_worker_starts_does_not_connect(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(
        "import os, subprocess, sys\n"
        "code = 'import os; print([name for name in os.environ if name.startswith(\"PYTHON_WORKER_FACTORY\")])'\n"
        "found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
        "sys.exit(found.stdout + found.stderr != '[]\\n')\n"
    )
    with worker("parent", tmp_path) as (spark, process), spark.connected():
        assert process.wait(PATIENCE) == 0
