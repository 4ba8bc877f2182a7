"""The container's health check: the scheduler's heartbeat, and the DAG processor's where it is a process of its own."""

import json
import os
import urllib.request

# Version 2 has its API under v1, and the health at another path.
api = os.environ["MWAA_AIRFLOW_API"]
url = f"{api}/health" if api.endswith("v1") else f"{api}/monitor/health"
with urllib.request.urlopen(url, timeout=8) as answer:
    parts = json.load(answer)
status = {name: (parts.get(name) or {}).get("status") for name in ("scheduler", "dag_processor")}
unhealthy = [name for name in status if status[name] not in ("healthy", None)]
if unhealthy or status["scheduler"] is None:
    raise SystemExit(f"not healthy: {', '.join(unhealthy) or 'scheduler'}")
