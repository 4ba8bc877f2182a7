"""`python -m services.rest_proxy`: serve, with the settings of the KAFKA_REST_ variables."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from foundation.errors import PinflowError
from services.rest_proxy.app import application
from services.rest_proxy.settings import Settings, from_environment


def serve(settings: Settings) -> None:
    """Answer requests until SIGTERM; then finish the requests in progress."""
    logging.getLogger(__name__).info(
        "stand-in for Confluent REST Proxy v2 on http://%s:%d", settings.host, settings.port
    )
    uvicorn.run(
        application(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        # Longer than clients keep idle connections, so that none sends a request while it is being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=30,
    )


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(levelname)-7s %(message)s (%(name)s)")
    logging.getLogger("services").setLevel(logging.INFO)
    # While a broker is down or a topic is missing, the client library logs ten lines a second.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        serve(from_environment(os.environ))
    except PinflowError as error:
        sys.exit(str(error))
