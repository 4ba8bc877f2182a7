"""Who may call the API: whoever has the token."""

from __future__ import annotations

import base64
import binascii
import hmac

from fastapi import Request

from services.databricks.workspace.errors import ApiError
from services.databricks.workspace.settings import Settings


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


def is_token(settings: Settings, token: str) -> bool:
    """Whether it is the workspace's token; takes the same time for every wrong one."""
    return hmac.compare_digest(settings.token.get_secret_value().encode(), token.encode("utf-8", "replace"))


def _password(value: str) -> str:
    try:
        user, _, password = base64.b64decode(value).decode().partition(":")
    except (ValueError, binascii.Error):
        return ""
    return password if user == "token" else ""
