"""What `make status` reports about a service's supervised loops (supervised.py)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from foundation.errors import NotReady, brief
from foundation.paths import shown
from foundation.profile import Profile
from foundation.supervised import PATH


def check(profile: Profile, service: str, url: str, headers: Mapping[str, str] | None = None) -> None:
    """Raise NotReady with every failing loop of the service at this URL.

    A real service in place of a stand-in has no such page, and passes.
    """
    try:
        answer = requests.get(url + PATH, headers=headers, timeout=5)
        failures = answer.json() if answer.status_code == 200 else []
    except (requests.RequestException, ValueError) as error:
        raise NotReady(f"{url}{PATH}: {brief(error)}") from None
    report(profile, service, failures)


def report(profile: Profile, service: str, failures: Sequence[Mapping[str, Any]]) -> None:
    """Raise NotReady with these failures of the service's loops, if there are any."""
    if failures:
        since = {f["name"]: time.strftime("%H:%M:%S", time.localtime(f["since"])) for f in failures}
        lines = [f"{f['name']} has been failing since {since[f['name']]}: {f['reason']}" for f in failures]
        raise NotReady("\n".join([*lines, see(profile, service)]))


def see(profile: Profile, service: str) -> str:
    """The command that shows a service's log."""
    return f"see: make logs S={service} PROFILE={shown(profile.path)}"
