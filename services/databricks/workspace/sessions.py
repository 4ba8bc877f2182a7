"""Ends the Spark sessions that a run's processes have left on the cluster."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from services.databricks.workspace import control, events
from services.databricks.workspace.errors import ApiError
from services.databricks.workspace.settings import Settings

log = logging.getLogger(__name__)
# Seconds that a run waits for the cluster to end them; after that they end while it goes on.
_CLOSING = 5.0


async def close_left(settings: Settings, directory: Path, *known: str) -> None:
    """End the sessions that the run in ``directory``, and the notebooks that it ran, left open; and those ``known``.

    A process that was killed could not stop its streams, which would go on in the cluster for ever. Never raises.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(_close_all, settings, directory, known), _CLOSING)


def _close_all(settings: Settings, directory: Path, known: tuple[str, ...]) -> None:
    for session_id in dict.fromkeys((*known, *events.open_sessions(directory))):
        try:
            control.call(settings, "sessions/close", session_id=session_id, user_id=settings.user)
        except ApiError as error:
            if error.status == 503:
                return  # the cluster is not there, and its sessions neither
            log.warning("session %s of %s could not be closed: %s", session_id, directory.name, error.what)
