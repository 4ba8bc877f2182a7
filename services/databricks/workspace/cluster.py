"""The cluster's control endpoint: its file systems (`dbfs:/`, mounts, `s3a://`) and its sessions."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from services.databricks.workspace import events
from services.databricks.workspace.errors import ApiError
from services.databricks.workspace.settings import Settings

log = logging.getLogger(__name__)
_TIMEOUT = 120
# Seconds that a run waits until the cluster has closed its sessions; the cluster continues afterwards.
_CLOSING = 5.0


def post(settings: Settings, operation: str, timeout: float, arguments: dict[str, Any]) -> requests.Response:
    """POST to the control endpoint; raises requests' exceptions."""
    headers = {"Authorization": f"Bearer {settings.control_token.get_secret_value()}"}
    return requests.post(f"{settings.control_url}/{operation}", json=arguments, headers=headers, timeout=timeout)


def call(settings: Settings, operation: str, **arguments: Any) -> Any:
    """The answer of an ``operation`` such as `fs/ls`.

    Raises ApiError: with the endpoint's own status and error code, or 503 if the endpoint is not reachable.
    """
    try:
        answer = post(settings, operation, _TIMEOUT, arguments)
        document = answer.json()
    except (requests.RequestException, ValueError):
        message = f"Cluster {settings.cluster_id} is not reachable: it is starting, or down."
        raise ApiError(503, "TEMPORARILY_UNAVAILABLE", message) from None
    if answer.ok:
        return document
    known = document if isinstance(document, dict) else {}
    code, message = known.get("error_code", "INTERNAL_ERROR"), known.get("message", f"{operation} failed")
    raise ApiError(answer.status_code, str(code), str(message))


async def close_sessions(settings: Settings, directory: Path, *known: str) -> None:
    """Close the sessions ``known``, and those that the run in ``directory`` and its child notebooks left open.

    A killed process could not stop its streams, which would run on the cluster forever. Never raises.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(_close_all, settings, directory, known), _CLOSING)


def _close_all(settings: Settings, directory: Path, known: tuple[str, ...]) -> None:
    for session_id in dict.fromkeys((*known, *events.open_sessions(directory))):
        try:
            call(settings, "sessions/close", session_id=session_id, user_id=settings.user)
        except ApiError as error:
            if error.status == 503:
                return  # without a cluster there are no sessions
            log.warning("could not close session %s of run %s: %s", session_id, directory.name, error.what)
