"""Small HTTP servers that take the place of a service behind the one under test, and note what they are asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request as a backend got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Backend:
    """An HTTP server on loopback that notes what it gets; ``answer`` gives status and JSON body."""

    answer: Callable[[Seen], tuple[int, Any]]
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                backend.seen.append(seen)
                status, document = backend.answer(seen)
                answer = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.kafka.v2+json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def calls(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]


class FakeConnect:
    """The REST calls on one sink connector that has written up to some offset."""

    def __init__(self) -> None:
        self.state, self.offsets = "RUNNING", [{"partition": {"kafka_partition": 0}, "offset": {"kafka_offset": 7}}]
        self.backend = Backend(self.answer)

    def answer(self, seen: Seen) -> tuple[int, Any]:
        match seen.method, seen.path.rpartition("/")[2]:
            case "GET", "offsets":
                return 200, {"offsets": self.offsets}
            case "GET", "status":
                tasks = [] if self.state == "STOPPED" else [{"id": 0, "state": "RUNNING"}]
                return 200, {"connector": {"state": self.state}, "tasks": tasks}
            case "PUT", "stop":
                self.state = "STOPPED"
                return 204, None
            case "DELETE", "offsets":
                if self.state != "STOPPED":
                    return 400, {"message": "connector must be in the STOPPED state"}
                self.offsets = []
                return 200, {"message": "reset"}
            case "PUT", "resume":
                self.state = "RUNNING"
                return 202, None
        return 404, {"message": "not found"}
