"""MWAA as boto3 sees it: our own door to Airflow's REST API, with the few calls behind it that a deploy makes."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from services.airflow.mwaa import Door


class Airflow:
    """Variables that are kept, DAGs that were all read a moment ago, import errors that are set."""

    def __init__(self, environment: str) -> None:
        self.variables: dict[str, str] = {}
        self.errors: list[dict[str, str]] = []
        self.calls: list[tuple[str, str]] = []
        airflow = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0].removeprefix("/api/v2")
                airflow.calls.append((self.command, path))
                status, document = airflow.answer(self.command, path, json.loads(body or b"null"))
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Handler, Door)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.settings = {
            "MWAA_ENVIRONMENT": environment,
            "MWAA_AIRFLOW_API": f"http://127.0.0.1:{self._servers[0].server_port}/api/v2",
        }
        self.url = f"http://127.0.0.1:{self._servers[1].server_port}"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        match method, path.strip("/").split("/"):
            case "GET", ["dags"]:
                read = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
                files = ("pinterest_dag.py", "pinterest_smallest_dag.py")
                dags = [{"dag_id": name, "relative_fileloc": name, "last_parsed_time": read} for name in files]
                return 200, {"dags": dags}
            case "GET", ["importErrors"]:
                return 200, {"import_errors": self.errors}
            case "GET", ["variables", name] if name in self.variables:
                return 200, {"key": name, "value": self.variables[name]}
            case "POST", ["variables"]:
                self.variables[body["key"]] = body["value"]
                return 201, body
            case "PATCH", ["variables", name] if name in self.variables:
                self.variables[name] = body["value"]
                return 200, body
        return 404, {"detail": f"{method} {path}: not found"}

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
