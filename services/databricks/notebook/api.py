"""The two HTTP endpoints that a notebook uses while it runs: the workspace's REST API, and the cluster's control."""

from __future__ import annotations

import http.client
import io
import json
import urllib.parse
from typing import Any, BinaryIO

from .document import Document
from .java_errors import ExecutionError


class _Endpoint:
    """An HTTP endpoint that takes a bearer token and answers in JSON. Not `requests`, which would read HTTP_PROXY."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self._token = url, token

    def send(
        self, method: str, path: str, timeout: float, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and document, None if the body is not JSON. Raises OSError."""
        address = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=timeout)
        sent = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        try:
            connection.request(method, address.path.rstrip("/") + path, body, sent)
            response = connection.getresponse()
            answer = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        try:
            return response.status, json.loads(answer)
        except ValueError:
            return response.status, None


class Api:
    """The workspace's REST API, with the run's own token."""

    def __init__(self, document: Document) -> None:
        self._endpoint = _Endpoint(document.api_url, document.api_token)

    def get(self, path: str, **query: str) -> dict[str, Any] | None:
        """The answer to GET /api/2.0/<path>; None for a 404. Raises ExecutionError for any other failure."""
        url = self._endpoint.url
        try:
            status, answer = self._endpoint.send("GET", f"/api/2.0/{path}?{urllib.parse.urlencode(query)}", timeout=60)
        except OSError as error:
            message = f"the workspace does not answer at {url} ({error}); see `make status`"
            raise ExecutionError("get", "java.net.ConnectException", message) from None
        if status == 404:
            return None
        if status != 200 or not isinstance(answer, dict):
            raise ExecutionError("get", "java.io.IOException", f"{path}: HTTP {status} of {url}")
        return answer


class Control:
    """The cluster's control endpoint: file systems and mounts. Errors are ExecutionErrors in Java's words."""

    def __init__(self, document: Document) -> None:
        self._endpoint = _Endpoint(document.control_url, document.control_token)

    def __call__(self, path: str, /, *, call: str = "", **values: Any) -> Any:
        """POST ``values`` as JSON; the answer."""
        headers = {"Content-Type": "application/json"}
        return self._post(path, call or path.rpartition("/")[2], json.dumps(values), headers)

    def upload(self, path: str, file: BinaryIO) -> None:
        """Write a whole file to ``path``, replacing what is there."""
        query = urllib.parse.urlencode({"path": path, "overwrite": "true"})
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self._post(f"/fs/upload?{query}", "write", file, headers)

    def _post(self, path: str, call: str, body: str | BinaryIO, headers: dict[str, str]) -> Any:
        url = self._endpoint.url
        try:
            # A mount takes minutes if the keys or the address of its bucket are wrong.
            status, content = self._endpoint.send("POST", path, 600, body, headers)
        except OSError as error:
            message = f"the cluster does not answer at {url} ({error}): it is down or restarting; see `make status`"
            raise ExecutionError(call, "java.net.ConnectException", message) from None
        if status == 200:
            return {} if content is None else content
        message = (content.get("message") if isinstance(content, dict) else None) or ""
        java_class, colon, rest = message.partition(": ")
        if not colon or " " in java_class:
            java_class, rest = "java.io.IOException", message or f"HTTP {status} of {url}"
        raise ExecutionError(call, java_class, rest)
