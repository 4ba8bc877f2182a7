"""Client of the cluster's control endpoint, which reaches the cluster's file systems: `dbfs:/`, mounts, `s3a://`."""

from __future__ import annotations

from typing import Any

import requests

from services.databricks.workspace.errors import ApiError
from services.databricks.workspace.settings import Settings

_TIMEOUT = 120


def call(settings: Settings, operation: str, **arguments: Any) -> Any:
    """POST ``operation`` (such as `fs/ls`) and give its answer.

    Raises ApiError: with the endpoint's own status and error code, or 503 if it is not reachable.
    """
    try:
        answer = requests.post(
            f"{settings.control_url}/{operation}",
            json=arguments,
            headers={"Authorization": f"Bearer {settings.control_token.get_secret_value()}"},
            timeout=_TIMEOUT,
        )
        document = answer.json()
    except (requests.RequestException, ValueError):
        message = f"Cluster {settings.cluster_id} is not reachable: it is starting, or down."
        raise ApiError(503, "TEMPORARILY_UNAVAILABLE", message) from None
    if answer.ok:
        return document
    known = document if isinstance(document, dict) else {}
    code = str(known.get("error_code", "INTERNAL_ERROR"))
    raise ApiError(answer.status_code, code, str(known.get("message", f"{operation} failed")))
