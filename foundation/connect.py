"""One connector of a Kafka Connect worker, through its REST API.

Standard library only, and nothing else of this project: containers of LocalStack and Python load this file alone.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT = 30  # seconds for one call; stopping tasks takes a few


class ConnectError(OSError):
    """A call failed; `status` is that of the answer, None without one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Connector:
    """A connector by the worker's REST URL and its name. Methods raise ConnectError."""

    worker: str
    name: str

    @property
    def url(self) -> str:
        """The connector in the worker's REST API."""
        return f"{self.worker}/connectors/{urllib.parse.quote(self.name, safe='')}"

    def call(self, method: str, path: str, body: Any = None, *, missing: Any = None) -> Any:
        """One REST call on the connector; its JSON answer, None if that is empty.

        Returns ``missing`` for a 404 unless that is None.
        """
        url = self.url + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                content = answer.read()
            return json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            if error.code == 404 and missing is not None:
                return missing
            raise ConnectError(f"{method} {url}: {error.code}: {_message(error)}", error.code) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ConnectError(f"{method} {url}: {reason}") from None

    def configuration(self) -> dict[str, str]:
        """The connector's configuration as the worker has it; empty if there is no connector."""
        found: dict[str, str] = self.call("GET", "/config", missing={})
        return found

    def status(self) -> dict[str, Any]:
        """The connector's status as the REST API gives it; without `connector` if there is none."""
        found: dict[str, Any] = self.call("GET", "/status", missing={"tasks": []})
        return found

    def apply(self, config: dict[str, str]) -> str:
        """Create the connector, change it, or restart what has failed of it; returns what was done."""
        wanted, current = {**config, "name": self.name}, self.configuration()
        if current != wanted:
            self.call("PUT", "/config", wanted)
            return "changed" if current else "created"
        failed = [part for part in parts(self.status()) if part["state"] == "FAILED"]
        if failed:
            self.call("POST", "/restart?includeTasks=true&onlyFailed=true")
            return f"restarted, it had failed: {cause(failed[0])}"
        return "unchanged"


def parts(status: dict[str, Any]) -> list[dict[str, Any]]:
    """The states of connector and tasks; empty if there is no connector."""
    return [status["connector"], *status["tasks"]] if "connector" in status else []


def cause(part: dict[str, Any]) -> str:
    """The first line of a trace, with the second where the first only leads to it, and its innermost cause."""
    first, *others = str(part.get("trace", "")).splitlines() or [""]
    if others and first.endswith(":"):
        first = f"{first} {others.pop(0)}"
    causes = [line for line in others if line.startswith("Caused by: ")]
    return "; ".join([first, *causes[-1:]])


def _message(error: urllib.error.HTTPError) -> str:
    try:
        body = error.read()
    except (OSError, http.client.HTTPException) as cut:
        return f"its answer was cut off: {cut}"
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:300]
