"""This machine's own addresses."""

from __future__ import annotations

import os
import socket
import urllib.request
from ipaddress import ip_address
from urllib.parse import urlsplit

HOSTS = ("127.0.0.1", "localhost", "::1")
SERVED = ("127.0.0.1", "localhost")
"""Names by which a service that starts here can be reached: each listens on 127.0.0.1 only."""


def is_local(url: str) -> bool:
    """Whether a URL names this machine."""
    return urlsplit(url).hostname in HOSTS


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def bypass_proxies() -> None:
    """Make this process and its children connect to this machine directly: a proxy cannot, and would see the tokens.

    Some programs read no_proxy first, others NO_PROXY, so both get the hosts of either. Without a proxy in the
    environment nothing is set: Python would take it for the whole answer and not ask macOS.
    """
    if not any(urllib.request.getproxies_environment().get(kind) for kind in ("http", "https", "all")):
        return
    before = {name: os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")}
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        hosts = (before[name] or before[other]).split(",")
        if hosts != ["*"]:
            os.environ[name] = ",".join(filter(None, [*hosts, *(host for host in HOSTS if host not in hosts)]))


def host_name(header: str) -> str:
    """The name in a Host header, without the port; empty if it cannot be read."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def is_safe_host(name: str) -> bool:
    """Whether no web site can have this name, so that a request by it comes from no script of a site (DNS rebinding).

    True for an IP address, a name without a dot (localhost, a container's), and those that ICANN keeps for private
    machines, such as host.docker.internal.
    """
    try:
        ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith((".localhost", ".internal")))
    return True
