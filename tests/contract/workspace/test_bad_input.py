"""A thousand bad calls of the workspace's API: each is carried out, or refused with Databricks' code and in words."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from tests.contract.workspace.conftest import CLUSTER, HOME, Service
from tests.generated import CASES, changed, damaged, text, value

pytestmark = pytest.mark.long
# Where nobody finds a notebook: no run of it starts a process.
_WORK = {"notebook_task": {"notebook_path": f"{HOME}/absent", "base_parameters": {"a": "1"}}, "timeout_seconds": 5}
_TASKS = {
    "run_name": "r",
    "tasks": [{"task_key": "a", **_WORK}, {"task_key": "b", "depends_on": [{"task_key": "a"}], **_WORK}],
}
_JOB = {"name": "j", "max_concurrent_runs": 1, "tasks": _TASKS["tasks"], "parameters": [{"name": "p", "default": "1"}]}
_CONTENT = base64.b64encode(b"# Databricks notebook source\n1\n").decode()
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "2.1/jobs/runs/submit", {"existing_cluster_id": CLUSTER, **_TASKS}),
    ("POST", "2.0/jobs/runs/submit", {"existing_cluster_id": CLUSTER, "run_name": "r", **_WORK}),
    ("POST", "2.1/jobs/create", _JOB),
    ("POST", "2.1/jobs/reset", {"job_id": 1, "new_settings": _JOB}),
    ("POST", "2.1/jobs/update", {"job_id": 1, "new_settings": {"name": "k"}, "fields_to_remove": ["tasks/a"]}),
    ("POST", "2.1/jobs/run-now", {"job_id": 1, "notebook_params": {"a": "1"}, "job_parameters": {"p": "2"}}),
    ("POST", "2.1/jobs/delete", {"job_id": 1}),
    ("POST", "2.1/jobs/runs/cancel", {"run_id": 1}),
    ("POST", "2.1/jobs/runs/delete", {"run_id": 1}),
    ("GET", "2.1/jobs/runs/get", {"run_id": 1}),
    ("GET", "2.1/jobs/runs/get-output", {"run_id": 1}),
    ("GET", "2.1/jobs/runs/list", {"limit": 5, "offset": 0, "job_id": 1, "active_only": True, "page_token": "x"}),
    ("GET", "2.1/jobs/list", {"limit": 5, "name": "j", "expand_tasks": True, "page_token": "x"}),
    ("GET", "2.1/jobs/runs/export", {"run_id": 1, "views_to_export": "ALL"}),
    ("POST", "2.0/workspace/import", {"path": f"{HOME}/bad", "content": _CONTENT, "language": "PYTHON"}),
    ("GET", "2.0/workspace/export", {"path": f"{HOME}/bad", "format": "SOURCE", "direct_download": True}),
    ("GET", "2.0/workspace/list", {"path": HOME}),
    ("GET", "2.0/workspace/get-status", {"path": HOME}),
    ("POST", "2.0/workspace/mkdirs", {"path": f"{HOME}/bad dir"}),
    ("POST", "2.0/workspace/delete", {"path": f"{HOME}/bad dir", "recursive": True}),
    ("GET", "2.0/clusters/get", {"cluster_id": CLUSTER}),
    ("POST", "2.0/clusters/start", {"cluster_id": CLUSTER}),
    ("GET", "2.0/secrets/list", {"scope": "keys"}),
    ("POST", "2.0/dbfs/add-block", {"handle": 1, "data": _CONTENT}),
    ("POST", "2.0/dbfs/close", {"handle": 1}),
]  # fmt: skip


@pytest.mark.parametrize("seed", [7])
def test_each_call_is_carried_out_or_refused_in_words(service: Service, seed: int) -> None:
    draw = random.Random(seed)
    refused = 0
    for number in range(CASES):
        method, path, good = draw.choice(CALLS)
        document: Any = changed(draw, good) if draw.random() < 0.8 else value(draw)
        options: dict[str, Any] = {}
        if method == "GET" and draw.random() < 0.7 and isinstance(document, dict):
            options["params"] = {
                name: str(each).replace("\ud800", "?") for name, each in document.items() if name != "\ud800"
            }
        else:
            body = json.dumps(document).encode()
            options["data"] = damaged(draw, body) if draw.random() < 0.2 else body
            options["headers"] = {"Content-Type": draw.choice(("application/json", "application/json", "text/plain"))}
        answer = service.call(method, f"/api/{path}", **options)
        case = f"case {number}: {method} {path} {str(options)[:600]}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code >= 400:
            told = answer.json()
            assert answer.status_code < 500 or told["error_code"] == "NOT_IMPLEMENTED", case
            assert told["error_code"].isupper() and told["message"].strip(), case
            refused += 1
    assert refused > 300, "a seed that is bad enough"
    for path in (
        "2.1/jobs/list?expand_tasks=true",
        "2.1/jobs/runs/list?expand_tasks=true",
        f"2.0/workspace/list?path={HOME}",
    ):
        assert service.call("GET", f"/api/{path}").status_code == 200, f"{path}: it goes on"
    assert "Traceback" not in (service.home.parent / "service.log").read_text()


@pytest.mark.parametrize("seed", [7])
def test_each_page_is_shown_or_refused_in_words(service: Service, seed: int) -> None:
    draw = random.Random(seed)
    paths = (
        "/runs/{}",
        "/jobs/{}",
        "/runs/{}/cells/1/html/1",
        "/runs/1/cells/{}/output.txt",
        "/runs/1/files/{}",
        "/static/{}",
    )
    for number in range(CASES):
        path = draw.choice(paths).format(draw.choice((text(draw)[:300], draw.randint(-5, 2**70))))
        answer = service.call("GET", path, params={draw.choice(("key", "page_token", "o")): text(draw)[:300]})
        case = f"case {number}: {path!r}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500 or answer.json()["error_code"] == "NOT_IMPLEMENTED", case
    assert "Traceback" not in (service.home.parent / "service.log").read_text()
