"""`python -m services.databricks.workspace --home … --url … -- COMMAND`: the workspace as a service."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from services.databricks.workspace.app import make_app
from services.databricks.workspace.settings import from_arguments


def main() -> None:
    """Serve until SIGTERM."""
    settings = from_arguments(sys.argv[1:], os.environ)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    uvicorn.run(
        make_app(settings),
        host=settings.listen,
        port=settings.port,
        loop="asyncio",
        log_level="warning",
        # Addresses of pages hold their keys, so they do not go into a log.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
