"""Who may call: whoever reaches the workspace by a name of its own, and has the token."""

from __future__ import annotations

import base64
import binascii
import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request

from services.databricks.workspace.errors import ApiError
from services.databricks.workspace.settings import Settings

WELL_KNOWN_TOKEN = "local"
"""The default of databricks.token in profiles/local.yaml."""
_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def check_host(request: Request, settings: Settings) -> None:
    """Raise ApiError where the Host header is a name that a web site can have, unless ``settings.url`` has it too.

    A site can have its name resolve to 127.0.0.1 (DNS rebinding). Its scripts are then of this server's origin, and the
    token may be the well-known one. An IP address is nobody's name, nor is one without a dot: localhost, a container's;
    nor are those that ICANN keeps for machines of one's own, such as host.docker.internal.
    """
    name = _host_name(request.headers.get("host", ""))
    if name != urlsplit(settings.url).hostname and not _cannot_be_a_sites(name):
        message = (
            f"The workspace does not answer to the host name {name or 'that was sent'}, which a web site could have. "
            f"Use {settings.url}, or an IP address or a name without a dot in its place."
        )
        raise ApiError(403, "PERMISSION_DENIED", message)


def check(request: Request, settings: Settings) -> None:
    """Raise ApiError unless the request carries the token: as a bearer token, or as the password of user `token`."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        token = value.strip()
    elif kind.lower() == "basic":
        token = _password(value)
    else:
        message = "Credential was not sent or was of an unsupported type for this API."
        raise ApiError(401, "401", message)
    if not is_token(settings, token):
        raise ApiError(403, "403", "Invalid access token.")


def needs_no_token(request: Request, settings: Settings) -> bool:
    """Whether the pages open without a token typed: for a browser of this machine, where the token guards nothing.

    That of profiles/local.yaml is known to everybody who can reach the workspace. One of a person's own guards the
    pages from the other users of the machine, so it is asked for. A request that came by way of a proxy or of a
    container's bridge is not seen to be of this machine. Nor does a page open from a web site's link without its key;
    what a site may open with the well-known key it cannot read: see the headers of pages and application.
    """
    headers = request.headers
    return (
        is_token(settings, WELL_KNOWN_TOKEN)
        and request.client is not None
        and _is_loopback(request.client.host)
        and _is_loopback(_host_name(headers.get("host", "")))
        and headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        and not any(name in headers for name in _OF_PROXIES)
    )


def is_token(settings: Settings, token: str) -> bool:
    """Whether it is the workspace's token; takes the same time for every wrong one."""
    return hmac.compare_digest(settings.token.get_secret_value().encode(), token.encode("utf-8", "replace"))


def _host_name(header: str) -> str:
    """Without the port; empty if it cannot be read."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _cannot_be_a_sites(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith((".localhost", ".internal")))
    return True


def _password(value: str) -> str:
    try:
        user, _, password = base64.b64decode(value).decode().partition(":")
    except (ValueError, binascii.Error):
        return ""
    return password if user == "token" else ""
