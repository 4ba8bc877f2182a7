"""MWAA as boto3 sees it: our own API in front of Airflow's, and behind it the few calls of a deploy and of a run."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from services.airflow.mwaa import MwaaHandler

TASK = {"task_id": "only", "state": "success", "try_number": 1, "start_date": "2026-01-01T00:00:00Z"}


def page(key: str, entries: list[Any], query: dict[str, list[Any]]) -> dict[str, Any]:
    """A part of a list, as Airflow gives it: 50 entries unless told otherwise, 100 at most."""
    limit, offset = (int(query.get(name, [None])[0] or usual) for name, usual in (("limit", 50), ("offset", 0)))
    return {key: entries[offset : offset + min(limit, 100)], "total_entries": len(entries)}


class Airflow:
    """Variables that are kept, DAGs that were all read a moment ago, import errors that are set, runs that succeed."""

    def __init__(self, environment: str) -> None:
        self.variables: dict[str, str] = {}
        self.errors: list[dict[str, str]] = []
        self.dags = [{"dag_id": n, "relative_fileloc": n} for n in ("pinterest_dag.py", "pinterest_smallest_dag.py")]
        self.runs: list[tuple[str, str]] = []
        self.state = "success"
        self.away = False
        self.tasks = [TASK]
        self.calls: list[tuple[str, str]] = []
        airflow = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.removeprefix("/api/v2").partition("?")
                airflow.calls.append((self.command, path))
                status, document = airflow.answer(self.command, path, parse_qs(query), json.loads(body or b"null"))
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Handler, MwaaHandler)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.settings = {
            "MWAA_ENVIRONMENT": environment,
            "MWAA_AIRFLOW_API": f"http://127.0.0.1:{self._servers[0].server_port}/api/v2",
        }
        self.url = f"http://127.0.0.1:{self._servers[1].server_port}"

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if self.away:
            return 503, {"detail": "starting"}
        match method, path.strip("/").split("/"):
            case "GET", ["dags"]:
                read = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
                dags = [{"last_parsed_time": read, "is_paused": False, **dag} for dag in self.dags]
                return 200, page("dags", dags, query)
            case "GET", ["importErrors"]:
                return 200, page("import_errors", self.errors, query)
            case "GET", ["dags", dag_id, "dagRuns"]:
                runs = [{"dag_run_id": run_id, "state": self.state} for of, run_id in self.runs if of == dag_id]
                return 200, page("dag_runs", runs[::-1] if query["order_by"] == ["-start_date"] else runs, query)
            case "GET", ["variables", name] if name in self.variables:
                return 200, {"key": name, "value": self.variables[name]}
            case "POST", ["variables"]:
                self.variables[body["key"]] = body["value"]
                return 201, body
            case "PATCH", ["variables", name] if name in self.variables:
                self.variables[name] = body["value"]
                return 200, body
            case "POST", ["dags", "~", "dagRuns", "~", "taskInstances", "list"]:
                asked = {(dag_id, run_id) for dag_id in body["dag_ids"] for run_id in body["dag_run_ids"]}
                found = [{**task, "dag_run_id": run[1]} for run in self.runs if run in asked for task in self.tasks]
                where = {"limit": [body.get("page_limit")], "offset": [body.get("page_offset")]}
                return 200, page("task_instances", found, where)
            case "POST", ["dags", dag_id, "dagRuns"]:
                self.runs.append((dag_id, body["dag_run_id"]))
                return 200, body
            case "GET", ["dags", dag_id, "dagRuns", "~", "taskInstances"]:
                asked = {(dag_id, run_id) for run_id in query["run_id_pattern"]}
                known = [run_id for of, run_id in self.runs if (of, run_id) in asked]
                found = [{**task, "dag_run_id": run_id} for run_id in known for task in self.tasks]
                # As an Airflow 3 does that does not know the pattern.
                earlier = [{**TASK, "dag_run_id": "earlier", "state": "failed"}] * 500
                return 200, page("task_instances", [*found, *earlier], query)
            case "GET", ["dags", dag_id, "dagRuns", run_id] if (dag_id, run_id) in self.runs:
                return 200, {"state": self.state}
            case "GET", ["dags", dag_id, "dagRuns", run_id, "taskInstances"] if (dag_id, run_id) in self.runs:
                return 200, {"task_instances": [TASK]}
        return 404, {"detail": f"{method} {path}: not found"}

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
