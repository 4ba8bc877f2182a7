"""This machine's own addresses, where the environment names a proxy for all others."""

from __future__ import annotations

import os

HOSTS = ("127.0.0.1", "localhost", "::1")


def bypass_proxies() -> None:
    """Let this process, and all that it starts, reach this machine directly: a proxy cannot, and would see the tokens.

    no_proxy and NO_PROXY say the same; who reads both takes the former.
    """
    given = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    hosts = ",".join(filter(None, [*given, *(host for host in HOSTS if host not in given)]))
    os.environ |= {"no_proxy": hosts, "NO_PROXY": hosts}
