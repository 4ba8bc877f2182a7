"""`python -m services.connect`: the stand-in for Kafka Connect, configured by CONNECT_* as the official image is."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import uvicorn
from kafka.errors import KafkaError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from foundation.environment import properties
from services.connect.rest import application
from services.connect.worker import Worker

log = logging.getLogger("services.connect")

RETRY_SECONDS = 1.0


def start_worker(settings: dict[str, str]) -> Worker:
    """Start the worker; waits for Kafka without a timeout, since the supervisor starts all services at once."""
    while True:
        worker = None
        try:
            worker = Worker(settings)
            worker.start()
            return worker
        except KafkaError as error:
            log.warning("waiting for Kafka at %s: %s", settings["bootstrap.servers"], error)
        if worker is not None:
            worker.stop()
        time.sleep(RETRY_SECONDS)


def main() -> None:
    """Serve the REST API until SIGTERM; then let the tasks write what they have buffered."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The Kafka client logs every refused connection three times; the tasks log what matters.
    for chatty, level in (("kafka", logging.CRITICAL), ("botocore", logging.ERROR), ("uvicorn", logging.WARNING)):
        logging.getLogger(chatty).setLevel(level)
    settings = properties(dict(os.environ), "CONNECT_")
    listener = urlsplit(settings["listeners"].split(",")[0])
    worker = start_worker(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(worker.stop)

    app = application(worker)
    app.router.lifespan_context = lifespan
    log.info("stand-in for Kafka Connect with the Confluent S3 sink (no code of Confluent's) on %s", listener.netloc)
    uvicorn.run(
        app,
        host=listener.hostname or "127.0.0.1",
        port=listener.port or 8083,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
