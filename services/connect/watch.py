"""In Compose: put the connector of s3-sink.json, and keep its tasks running. Standard library only.

CONNECT_URL and CONNECTOR say where and which; uid, bucket, region and store_url fill the JSON. Every two seconds the
configuration is compared (a worker that lost its topics gets it again) and failed tasks are started anew;
/tmp/running is renewed while every task runs, and that is the container's health.
"""

from __future__ import annotations

import json
import os
import runpy
import string
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

RUNNING = Path("/tmp/running")
EVERY = 2.0
# By its path: as a script in its container this file has no package around it.
supervised = runpy.run_path(str(Path(__file__).parents[2] / "foundation" / "supervised.py"))


def main() -> None:
    """Until SIGTERM."""
    said = ""

    def look() -> None:
        nonlocal said
        state = keep()
        if state == "running":
            RUNNING.touch()
        if state != said:
            print(state, flush=True)
            said = state

    supervised["run"]("watch over the connector", look, every=EVERY, known=(OSError, ValueError))


def keep() -> str:
    """One look: put what is missing or differs, start failed tasks again; returns the state in words."""
    connector = f"/connectors/{os.environ['CONNECTOR']}"
    wanted = {**configuration(), "name": os.environ["CONNECTOR"]}
    if call("GET", f"{connector}/config") != wanted:
        call("PUT", f"{connector}/config", wanted)
        return "put the connector"
    status = call("GET", f"{connector}/status") or {}
    parts = [status.get("connector", {"state": "UNASSIGNED"}), *status.get("tasks", [])]
    failed = [part for part in parts if part["state"] == "FAILED"]
    if failed:
        call("POST", f"{connector}/restart?includeTasks=true&onlyFailed=true")
        return f"started again what had failed: {failed[0].get('trace', '').partition(chr(10))[0]}"
    states = {part["state"] for part in parts}
    return "running" if states == {"RUNNING"} and status["tasks"] else f"waiting: {', '.join(sorted(states))}"


def configuration() -> dict[str, str]:
    """s3-sink.json with this environment's values."""
    template = json.loads(Path(__file__).with_name("s3-sink.json").read_text(encoding="utf-8"))
    return {name: string.Template(value).substitute(os.environ) for name, value in template.items()}


def call(method: str, path: str, body: Any = None) -> Any:
    """One REST call; None for what does not exist."""
    request = urllib.request.Request(
        os.environ["CONNECT_URL"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise OSError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')[:300]}") from None
    return json.loads(content) if content else None


if __name__ == "__main__":
    main()
