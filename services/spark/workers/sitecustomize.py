"""Connects a Python process that Spark has started before its long imports begin. Python imports this as it starts.

`hand_over_connection` in services/spark/compat.py says why. This folder is on the Spark server's PYTHONPATH
(spark.env); processes that Spark did not start so are left as they are.
"""

from __future__ import annotations

import os
import runpy
import socket
from pathlib import Path

_PORT, _SECRET = "PYTHON_WORKER_FACTORY_PORT", "PYTHON_WORKER_FACTORY_SECRET"


def connect_first(port: int, secret: bytes) -> None:
    """Connect to Spark and authenticate, as `pyspark.util.local_connect_and_auth` does; PySpark then uses this one.

    Raises OSError if Spark does not listen or refuses.
    """
    address = "::1" if os.environ.get("SPARK_PREFER_IPV6", "").lower() == "true" else "127.0.0.1"
    connection = socket.create_connection((address, port), float(os.environ.get("SPARK_AUTH_SOCKET_TIMEOUT", "15")))
    stream = connection.makefile("rwb", int(os.environ.get("SPARK_BUFFER_SIZE", "65536")))
    stream.write(len(secret).to_bytes(4, "big") + secret)
    stream.flush()
    if stream.read(int.from_bytes(stream.read(4), "big")) != b"ok":
        raise ConnectionError("Spark refuses its own worker")
    compat = runpy.run_path(str(Path(__file__).resolve().parents[1] / "compat.py"))
    compat["hand_over_connection"]((stream, connection))


if _PORT in os.environ and _SECRET in os.environ:
    # What the worker's code starts inherits its environment, and must not connect too.
    connect_first(int(os.environ.pop(_PORT)), os.environ.pop(_SECRET).encode())
