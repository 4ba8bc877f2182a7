"""The container's health check: the scheduler's heartbeat, and the DAG processor's where it is a process of its own."""

import json
import os
import urllib.request

# Version 2 has its API under v1, and the health there under another name.
api = os.environ["MWAA_AIRFLOW_API"]
url = f"{api}/health" if api.endswith("v1") else f"{api}/monitor/health"
with urllib.request.urlopen(url, timeout=8) as answer:
    parts = json.load(answer)
ill = [
    name for name in ("scheduler", "dag_processor") if (parts.get(name) or {}).get("status") not in ("healthy", None)
]
if ill or parts["scheduler"]["status"] is None:
    raise SystemExit(f"not healthy: {', '.join(ill) or 'scheduler'}")
