"""Who may call the API and open the pages."""

from __future__ import annotations

import base64
import hashlib
import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from foundation.loopback import host_name, is_safe_host
from services.databricks.workspace.errors import ApiError
from services.databricks.workspace.settings import Settings

WELL_KNOWN_TOKEN = "local"
"""The default of databricks.token in profiles/local.yaml."""
_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def check_host(request: Request, settings: Settings) -> None:
    """Raise ApiError if the Host header is a name that a web site can have, unless ``settings.url`` has it too.

    A site can make its name resolve to 127.0.0.1. Its scripts then share this server's origin, and the token may be the
    well-known one.
    """
    name = host_name(request.headers.get("host", ""))
    if name != urlsplit(settings.url).hostname and not is_safe_host(name):
        message = (
            f"The workspace does not answer to the host name {name or 'that was sent'}, which a web site could have. "
            f"Use {settings.url}, or an IP address or a name without a dot in its place."
        )
        raise ApiError(403, "PERMISSION_DENIED", message)


def check(request: Request, settings: Settings) -> None:
    """Raise ApiError unless the request has the token, as a bearer token or as the password of the user `token`."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() not in ("bearer", "basic"):
        raise ApiError(401, "401", "Credential was not sent or was of an unsupported type for this API.")
    if not is_token(settings, value.strip() if kind.lower() == "bearer" else _password(value)):
        raise ApiError(403, "403", "Invalid access token.")


def needs_no_token(request: Request, settings: Settings) -> bool:
    """Whether the lists open without a token: in a browser on this machine, while the token is the well-known one.

    The token of profiles/local.yaml is no secret. A token of your own protects the pages from other users of the
    machine, so the lists ask for it. Requests through a proxy or a container's bridge may come from elsewhere. Nor does
    a link on a web site open a list; what a site may open with the well-known key, it cannot read (see the headers in
    pages.py and app.py).
    """
    headers = request.headers
    return (
        is_token(settings, WELL_KNOWN_TOKEN)
        and request.client is not None
        and _is_loopback(request.client.host)
        and _is_loopback(host_name(headers.get("host", "")))
        and headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        and not any(name in headers for name in _OF_PROXIES)
    )


def is_token(settings: Settings, token: str) -> bool:
    """Whether this is the workspace's token; takes the same time for every wrong one."""
    return hmac.compare_digest(settings.token.get_secret_value().encode(), token.encode("utf-8", "replace"))


# A browser sends no bearer token, and every user of the machine reaches 127.0.0.1. So the link to a page has a key that
# is derived from the token: nobody can guess it, it survives restarts, it opens that page only, and unlike a cookie it
# is never sent to another service on 127.0.0.1.


def link(settings: Settings, page: str) -> str:
    """The path of a page, such as `runs/7`, with its key."""
    return f"/{page}?key={_key(settings, page)}"


def url(settings: Settings, page: str) -> str:
    """The same with the address of the workspace."""
    return settings.url + link(settings, page)


def opens(settings: Settings, page: str, key: str) -> bool:
    """Whether ``key`` opens the page; takes the same time for every wrong key."""
    return hmac.compare_digest(_key(settings, page).encode(), key.encode())


def _key(settings: Settings, page: str) -> str:
    secret = settings.token.get_secret_value().encode()
    return hmac.new(secret, f"pinflow page {page}".encode(), hashlib.sha256).hexdigest()[:32]


def _is_loopback(name: str) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _password(value: str) -> str:
    try:
        user, _, password = base64.b64decode(value).decode().partition(":")
    except ValueError:
        return ""
    return password if user == "token" else ""
