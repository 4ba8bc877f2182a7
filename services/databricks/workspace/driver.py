"""Watches the cluster's driver: a run belongs to the driver that it started on, and ends when that driver is gone.

A notebook itself notices only at its next call, and then tries for half a minute to reach the same driver.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import requests

from foundation import supervised
from services.databricks.workspace import cluster, outcome
from services.databricks.workspace.outcome import Outcome
from services.databricks.workspace.settings import Settings

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two checks."""
REFUSED = 3
"""Refused connections in a row that mean that the driver is gone. A busy driver accepts connections, slowly."""
RESTART = 120.0
"""Seconds that a new run waits for the next driver."""


class Driver:
    """The driver that answers now. Used in the event loop's thread only.

    Runs do not wait for a driver that never answered: the notebook reports what is wrong with it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._id: str | None = None
        self._refused = 0
        self._answers = asyncio.Event()
        self._answers.set()
        self._lost: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    async def watch(self) -> None:
        """Check who the driver is, until cancelled."""
        await supervised.run_async("watch over the cluster's driver", self._look, EVERY)

    async def _look(self) -> None:
        try:
            self._note(await asyncio.to_thread(self._ask))
        except requests.ConnectionError:
            self._note_refused()

    async def available(self) -> asyncio.Future[Outcome]:
        """Wait for the driver while it restarts. The future is done when that driver is gone, or if none came."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answers.wait(), RESTART)
        return self._lost

    def _ask(self) -> str | None:
        """The driver's id; None if it is too busy to say. Raises requests.ConnectionError if nothing listens."""
        try:
            answer = cluster.post(self._settings, "driver/id", timeout=10, arguments={})
            return str(answer.json()["id"]) if answer.ok else None
        except (requests.Timeout, ValueError):
            return None

    def _note(self, answered: str | None) -> None:
        self._refused = 0
        if answered is None:
            return
        if answered == self._id:
            self._answers.set()
            return
        if self._id is not None:
            self._lose()
        if self._lost.done():
            self._lost = asyncio.get_running_loop().create_future()
        self._id = answered
        self._answers.set()

    def _note_refused(self) -> None:
        if self._id is not None:
            self._answers.clear()
            self._refused += 1
            if self._refused >= REFUSED:
                self._lose()

    def _lose(self) -> None:
        log.warning("the driver of cluster %s is gone", self._settings.cluster_id)
        self._id, self._refused = None, 0
        self._lost.set_result(outcome.driver_lost(self._settings.remote))
