"""Connects a Python process that Spark has started before its long imports begin. Python imports this as it starts.

Spark waits 10 s, a constant (PythonWorkerFactory.createSimpleWorker), for the Python process of a streaming source or
of foreachBatch to connect back: "Python worker failed to connect back". The process imports for 0.7 to 2.2 s of CPU
before it does, so a few queries that start at once on a busy machine fail. What Spark sends after that may take long.

This folder is on the Spark server's PYTHONPATH (spark.env). Processes that Spark did not start so are left as they are.
"""

from __future__ import annotations

import os
import socket
from typing import Any

_PORT, _SECRET = "PYTHON_WORKER_FACTORY_PORT", "PYTHON_WORKER_FACTORY_SECRET"


def connect_first(port: int, secret: bytes) -> None:
    """Connect to Spark and authenticate, as `pyspark.util.local_connect_and_auth` does; PySpark then takes this up.

    Raises OSError if Spark is not there or refuses.
    """
    address = "::1" if os.environ.get("SPARK_PREFER_IPV6", "").lower() == "true" else "127.0.0.1"
    connection = socket.create_connection((address, port), float(os.environ.get("SPARK_AUTH_SOCKET_TIMEOUT", "15")))
    stream = connection.makefile("rwb", int(os.environ.get("SPARK_BUFFER_SIZE", "65536")))
    stream.write(len(secret).to_bytes(4, "big") + secret)
    stream.flush()
    if stream.read(int.from_bytes(stream.read(4), "big")) != b"ok":
        raise ConnectionError("Spark refuses its own worker")
    _hand_over((stream, connection))


def _hand_over(connected: tuple[Any, socket.socket]) -> None:
    """Give the connection to the first that asks PySpark's workers for one: the worker's own main."""
    from pyspark import worker_util

    original, held = worker_util.local_connect_and_auth, [connected]
    worker_util.local_connect_and_auth = lambda *to: held.pop() if held else original(*to)


if _PORT in os.environ and _SECRET in os.environ:
    # What the worker's code starts inherits its environment, and must not connect too.
    connect_first(int(os.environ.pop(_PORT)), os.environ.pop(_SECRET).encode())
