"""In Compose: creates the connector of s3-sink.json, and keeps its tasks running. Standard library only.

CONNECT_URL and CONNECTOR name the worker and the connector; uid, bucket, region and store_url fill the JSON. Every two
seconds this compares the configuration (a worker that lost its topics gets it again) and restarts failed tasks. It
touches /tmp/running while every task runs, and that is the container's health.
"""

from __future__ import annotations

import json
import os
import runpy
import string
from pathlib import Path

RUNNING = Path("/tmp/running")
EVERY = 2.0
# By their paths: as a script in its container this file has no package around it.
foundation = Path(__file__).parents[2] / "foundation"
supervised = runpy.run_path(str(foundation / "supervised.py"))
connect = runpy.run_path(str(foundation / "connect.py"))


def main() -> None:
    """Watch until SIGTERM, and print each change of the state."""
    last = ""

    def look() -> None:
        nonlocal last
        state = check()
        if state == "running":
            RUNNING.touch()
        if state != last:
            print(state, flush=True)
            last = state

    supervised["run"]("watch over the connector", look, every=EVERY, known=(OSError, ValueError))


def check() -> str:
    """Create, change or restart what needs it; returns the state."""
    connector = connect["Connector"](os.environ["CONNECT_URL"], os.environ["CONNECTOR"])
    done: str = connector.apply(configuration())
    if done != "unchanged":
        return done
    status = connector.status()
    states = {part["state"] for part in connect["parts"](status)}
    if states == {"RUNNING"} and status["tasks"]:
        return "running"
    return f"waiting: {', '.join(sorted(states)) or 'no status yet'}"


def configuration() -> dict[str, str]:
    """s3-sink.json with this environment's values."""
    template = json.loads(Path(__file__).with_name("s3-sink.json").read_text(encoding="utf-8"))
    return {name: string.Template(value).substitute(os.environ) for name, value in template.items()}


if __name__ == "__main__":
    main()
