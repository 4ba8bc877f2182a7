"""Links to run pages that only their owner can make.

Pages are opened by a browser, which sends no bearer token, and every user of the machine reaches 127.0.0.1. So each
page's link carries a key of its own, derived from the token: it cannot be guessed, survives restarts, opens that page
and nothing else, and, unlike a cookie, is never sent to another service on 127.0.0.1.
"""

from __future__ import annotations

import hashlib
import hmac

from services.databricks.workspace.settings import Settings

RUNS, JOBS = "runs", "jobs"
"""The lists of all runs and all jobs."""


def key_of(settings: Settings, page: str) -> str:
    """The key of a page: 32 hexadecimal digits."""
    secret = settings.token.get_secret_value().encode()
    return hmac.new(secret, f"pinflow page {page}".encode(), hashlib.sha256).hexdigest()[:32]


def fits(settings: Settings, page: str, key: str) -> bool:
    """Whether ``key`` opens the page; takes the same time for every wrong key."""
    return hmac.compare_digest(key_of(settings, page).encode(), key.encode())


def run_page_url(settings: Settings, run_id: int) -> str:
    """Where a run's page is."""
    return f"{settings.url}{run_page_path(settings, run_id)}"


def run_page_path(settings: Settings, run_id: int) -> str:
    """The same without the server's address, for links between pages."""
    return f"/runs/{run_id}?key={key_of(settings, f'runs/{run_id}')}"


def job_page(job_id: int) -> str:
    """The page with the runs of a job, as `key_of` and `fits` know it."""
    return f"jobs/{job_id}"


def page_url(settings: Settings, page: str) -> str:
    """Where a page is."""
    return f"{settings.url}/{page}?key={key_of(settings, page)}"
