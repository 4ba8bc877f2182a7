"""Ways to look at Airflow and the workspace that share no code with the product: boto3, and requests alone."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.servers.waiting import wait_for
from tests.stack import TestStack


@dataclass(frozen=True)
class Orchestration:
    """The Airflow and the workspace of a stack."""

    stack: TestStack

    @cached_property
    def mwaa(self) -> Any:
        airflow = self.stack.profile.airflow
        return boto3.client(
            "mwaa", endpoint_url=airflow.endpoint_url, region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="any", config=Config(inject_host_prefix=False),
        )  # fmt: skip

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """boto3's `invoke_rest_api`, as a script for MWAA calls it."""
        given = {"Body": body} if body is not None else {}
        given |= {"QueryParameters": query} if query else {}
        name = self.stack.profile.airflow.environment
        return self.mwaa.invoke_rest_api(Name=name, Path=path, Method=method, **given)["RestApiResponse"]

    def upload(self, file: str, text: str) -> float:
        """Put a DAG file into the bucket; returns the seconds until a DAG of it, or its import error, is there."""
        began, before = time.monotonic(), self.seen(file)
        self.stack.client("s3").put_object(
            Bucket=self.stack.profile.storage.dag_bucket, Key=f"dags/{file}", Body=text.encode()
        )
        wait_for(f"a DAG or an import error of {file}", lambda: self.seen(file) != before)
        return time.monotonic() - began

    def forget(self, dag_id: str) -> None:
        """Delete a DAG's file, the DAG and its runs."""
        bucket = self.stack.profile.storage.dag_bucket
        self.stack.client("s3").delete_object(Bucket=bucket, Key=f"dags/{dag_id}.py")
        self.call("DELETE", f"/dags/{dag_id}")

    def seen(self, file: str) -> list[Any]:
        """What Airflow shows of a file: DAGs with the time they were read at, import errors."""
        dags = [(d["dag_id"], d["last_parsed_time"]) for d in self.call("GET", "/dags")["dags"] if file in d["fileloc"]]
        errors = self.call("GET", "/importErrors")["import_errors"]
        return dags + [e["timestamp"] for e in errors if e["filename"].endswith(file)]

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Unpause the DAG and start a run."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        date = f"2026-02-01T00:00:{int(time.time() * 1e6) % 60_000_000 / 1e6:09.6f}+00:00"
        self.call("POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": date})

    def state(self, dag_id: str, run_id: str) -> str:
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def ended(self, dag_id: str, run_id: str, timeout: float = 180) -> str:
        """Wait for the run's end; its state."""
        ends = ("success", "failed")
        found = wait_for(f"the end of {dag_id} {run_id}", lambda: self._if_in(ends, dag_id, run_id), timeout)
        return str(found)

    def _if_in(self, states: tuple[str, ...], dag_id: str, run_id: str) -> str | None:
        try:
            state = self.state(dag_id, run_id)
        except ClientError:
            return None  # Airflow is starting again
        return state if state in states else None

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def log(self, dag_id: str, run_id: str, task_id: str, tried: int) -> str:
        """The log of one try of a task, as text."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{tried}"))

    def databricks(self, method: str, path: str, **arguments: Any) -> Any:
        """One call of the workspace's REST API."""
        databricks = self.stack.profile.databricks
        headers = {"Authorization": f"Bearer {databricks.token.get_secret_value()}"}
        answer = requests.request(method, f"{databricks.host}/api/{path}", headers=headers, timeout=30, **arguments)
        answer.raise_for_status()
        return answer.json()

    def notebook(self, path: str, *cells: str) -> None:
        """Put a notebook into the workspace."""
        source = "\n\n# COMMAND ----------\n\n".join(("# Databricks notebook source", *cells))
        self.databricks("POST", "2.0/workspace/mkdirs", json={"path": str(Path(path).parent)})
        document = {
            "path": path, "language": "PYTHON", "format": "SOURCE", "overwrite": True,
            "content": base64.b64encode(source.encode()).decode(),
        }  # fmt: skip
        self.databricks("POST", "2.0/workspace/import", json=document)

    def runs(self, part: str) -> list[dict[str, Any]]:
        """Runs on Databricks whose name has the part, oldest first."""
        found = self.databricks("GET", "2.1/jobs/runs/list", params={"limit": 25})
        return [run for run in reversed(found.get("runs", [])) if part in run["run_name"]]
