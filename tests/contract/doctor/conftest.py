"""A profile whose far ends are one small HTTP service that answers as it is told, and AWS clients with set answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from foundation.profile import ROOT, Profile, load

UID = "0a1b2c3d4e5f"
Answer = tuple[int, Any]


@dataclass
class FarEnd:
    """Answers by method and path; the longest beginning of a path that is known wins, all else is a 404.

    Below /topics it is the REST proxy, which takes its own media types alone, also with a GET (7.9.9, 8.2.0).
    """

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        far_end = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                far_end.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                known = [p for m, p in far_end.answers if m == self.command and self.path.startswith(p)]
                status, body = far_end.answers[self.command, max(known, key=len)] if known else (404, {"message": "?"})
                media_type = self.headers.get("Content-Type")
                if "/topics" in self.path and media_type and not media_type.startswith("application/vnd.kafka."):
                    status, body = 415, {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}
                if not status:  # no answer at all
                    time.sleep(1)
                    return
                answer = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, method: str, path: str, status: int, body: Any = "") -> None:
        self.answers[method, path] = (status, body)


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    server = FarEnd()
    yield server
    server.server.shutdown()
    server.server.server_close()


Make = Callable[..., Profile]


@pytest.fixture
def make(tmp_path: Path, far_end: FarEnd) -> Make:
    """local.yaml with every address at the far end, without a stack, and with changes such as `api__api_key=…`."""

    def made(**changes: Any) -> Profile:
        document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
        document["stack"] = None
        document["api"]["invoke_url"] = f"{far_end.url}/_aws/execute-api/abc/dev"
        document["rest_proxy"]["url"] = document["connect"]["url"] = document["databricks"]["host"] = far_end.url
        document["aws"]["endpoint_url"] = "http://127.0.0.1:9"
        document["airflow"]["endpoint_url"] = "http://127.0.0.1:9"
        document["database"] = {"url": f"sqlite:///{tmp_path}/posts.db", "password": None}
        for name, value in changes.items():
            section, _, key = name.partition("__")
            document[section][key] = value
        path = tmp_path / "doctor.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return load(str(path))

    return made


class Stubs:
    """Official clients whose answers are set beforehand, and checked against the service's own description."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._stubbers: dict[str, Stubber] = {}

    def of(self, service: str) -> Stubber:
        if service not in self._stubbers:
            made = boto3.client(
                service,  # type: ignore[call-overload]
                region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
            )  # fmt: skip
            self._clients[service], self._stubbers[service] = made, Stubber(made)
            self._stubbers[service].activate()
        return self._stubbers[service]

    def client(self, profile: Profile, service: str, waits: Any = None) -> Any:
        self.of(service)
        return self._clients[service]


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Stubs:
    made = Stubs()
    for module in ("api", "aws", "kafka"):
        monkeypatch.setattr(f"pinflow.doctor.{module}.client", made.client)
    return made
