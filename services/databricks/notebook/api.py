"""The workspace's REST API, for what a notebook asks of it while it runs."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any

from .document import Document
from .java_errors import ExecutionError


class Api:
    """Calls with the run's own token."""

    def __init__(self, document: Document) -> None:
        self._address = urllib.parse.urlsplit(document.api_url)
        self._token = document.api_token

    def get(self, path: str, **query: str) -> dict[str, Any] | None:
        """The answer to GET /api/2.0/<path>; None for a 404. Raises ExecutionError where there is none."""
        address = self._address
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=60)
        try:
            target = f"{address.path.rstrip('/')}/api/2.0/{path}?{urllib.parse.urlencode(query)}"
            connection.request("GET", target, headers={"Authorization": f"Bearer {self._token}"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"the workspace does not answer at {address.geturl()} ({error}); see `make status`"
            raise ExecutionError("get", "java.net.ConnectException", message) from None
        finally:
            connection.close()
        if response.status == 404:
            return None
        if response.status != 200 or not isinstance(answer, dict):
            raise ExecutionError("get", "java.io.IOException", f"{path}: HTTP {response.status} of {address.geturl()}")
        return answer
