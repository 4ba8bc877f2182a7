"""This machine's own addresses, where the environment names a proxy for all others."""

from __future__ import annotations

import os
import urllib.request

HOSTS = ("127.0.0.1", "localhost", "::1")


def bypass_proxies() -> None:
    """Let this process, and all that it starts, reach this machine directly: a proxy cannot, and would see the tokens.

    Some read no_proxy first, some NO_PROXY: what one says alone is said in the other too. Where the environment names
    no proxy nothing is set: Python would take it for the whole answer, and not ask macOS.
    """
    if not any(urllib.request.getproxies_environment().get(kind) for kind in ("http", "https", "all")):
        return
    said = {name: os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")}
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        given = (said[name] or said[other]).split(",")
        if given != ["*"]:
            os.environ[name] = ",".join(filter(None, [*given, *(host for host in HOSTS if host not in given)]))
