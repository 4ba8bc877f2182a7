"""dbutils.secrets: the profile's scopes from the run's document, all others asked of the workspace each time."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.databricks.notebook.api import Api
from services.databricks.notebook.dbutils import Secrets
from services.databricks.notebook.document import Document
from services.databricks.notebook.java_errors import ExecutionError, SecretNotFound

TOKEN = "workspace-token"


class Workspace:
    """The Secrets API over `values`: {scope: {key: bytes}}."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, bytes]] = {"made": {"key": b"first"}}
        workspace = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, answer = workspace.answer(urlsplit(self.path).path, parse_qs(urlsplit(self.path).query))
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    status, answer = 403, {"error_code": "403"}
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        call, scope, key = path.removeprefix("/api/2.0/secrets/"), *(query.get(n, [""])[0] for n in ("scope", "key"))
        if call == "scopes/list":
            return 200, {"scopes": [{"name": name} for name in ["aws", *self.values]]}
        if scope not in self.values or (call == "get" and key not in self.values[scope]):
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}
        if call == "get":
            return 200, {"key": key, "value": base64.b64encode(self.values[scope][key]).decode()}
        return 200, {"secrets": [{"key": key} for key in self.values[scope]]} if self.values[scope] else {}


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def redacted() -> list[str]:
    return []


def secrets(workspace: Workspace, redacted: list[str], token: str = TOKEN) -> Secrets:
    url = f"http://127.0.0.1:{workspace.server.server_port}"
    document = Document(1, "/x", Path(), "sc://x", "c", "http://x", Path(), api_url=url, api_token=token)
    return Secrets({"aws": {"key": "of-profile"}}, Api(document), redacted.append)


def test_both_kinds_of_scope_are_read_and_redacted(workspace: Workspace, redacted: list[str]) -> None:
    found = secrets(workspace, redacted)
    assert (found.get("aws", "key"), found.get("made", "key")) == ("of-profile", "first")
    assert redacted == ["of-profile", "first"]
    assert [scope.name for scope in found.listScopes()] == ["aws", "made"]
    assert [each.key for scope in ("aws", "made") for each in found.list(scope)] == ["key", "key"]


def test_what_changes_during_a_run_is_seen_at_once(workspace: Workspace, redacted: list[str]) -> None:
    found = secrets(workspace, redacted)
    found.get("made", "key")
    workspace.values["made"]["key"] = b"second"
    workspace.values["new"] = {}
    assert found.get("made", "key") == "second"
    assert (list(found.list("new")), len(found.listScopes())) == ([], 3)
    del workspace.values["made"]["key"]
    with pytest.raises(SecretNotFound):
        found.get("made", "key")


def test_bytes_stay_bytes(workspace: Workspace, redacted: list[str]) -> None:
    workspace.values["made"]["key"] = b"\xff\x00"
    assert secrets(workspace, redacted).getBytes("made", "key") == b"\xff\x00"


@pytest.mark.parametrize(
    ("scope", "key"), [("aws", "other"), ("made", "other"), ("none", "key"), ("a&scope=made", "key")]
)
def test_what_is_not_there_is_an_illegal_argument(
    workspace: Workspace, redacted: list[str], scope: str, key: str
) -> None:
    with pytest.raises(SecretNotFound, match="Secret does not exist with scope: ") as missing:
        secrets(workspace, redacted).get(scope, key)
    assert missing.value.java_exception.getName() == "java.lang.IllegalArgumentException"


def test_a_workspace_that_refuses_or_is_gone_is_named(workspace: Workspace, redacted: list[str]) -> None:
    address = f"127.0.0.1:{workspace.server.server_port}"
    with pytest.raises(ExecutionError, match=f"HTTP 403 of http://{address}"):
        secrets(workspace, redacted, token="wrong").get("made", "key")
    gone = secrets(workspace, redacted)
    workspace.server.server_close()
    workspace.server.shutdown()
    with pytest.raises(ExecutionError, match=f"the workspace does not answer at http://{address}"):
        gone.get("made", "key")
