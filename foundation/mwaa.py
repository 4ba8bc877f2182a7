"""A client of the profile's MWAA environment. It uses boto3 alone, so it is the same on this machine and on AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from foundation import aws, dag_bucket
from foundation.errors import PinflowError, brief
from foundation.profile import Profile

DAGS = "dags/"
MAIN_DAG_FILE = "pinterest_dag.py"
LONGEST_PATH = 64
"""RestApiPath in botocore's model of MWAA."""

_PAGE = 100
"""[api] maximum_page_limit."""


class AirflowError(PinflowError):
    """MWAA or Airflow refused a call or did not answer; ``status`` is Airflow's HTTP status, 0 if it sent none."""

    def __init__(self, what: str, fix: str = "", status: int = 0) -> None:
        super().__init__(what, fix)
        self.status = status


class Mwaa:
    """The profile's MWAA environment. ``patient=False`` is for probes: one try of a few seconds."""

    def __init__(self, profile: Profile, patient: bool = True) -> None:
        self.profile = profile
        # boto3 puts `env.` before the host, which on this machine does not resolve.
        waits = Config(
            inject_host_prefix=profile.airflow.endpoint_url is None,
            connect_timeout=2,
            read_timeout=60 if patient else 5,
            retries={"mode": "standard", "total_max_attempts": 4 if patient else 1},
        )
        self._client = aws.client(profile, "mwaa", waits, profile.airflow.endpoint_url)

    @property
    def dag_id(self) -> str:
        """The id of the batch DAG."""
        return f"{self.profile.uid}_dag"

    @property
    def is_airflow_2(self) -> bool:
        """Whether the environment runs Airflow 2, whose REST API differs in places."""
        return self.profile.airflow.version.startswith("2")

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """Call Airflow's REST API, for example ("GET", "/dags"), and return its document. Raises AirflowError."""
        airflow = self.profile.airflow
        arguments: dict[str, Any] = {"Name": airflow.environment, "Path": path, "Method": method}
        if body is not None:
            arguments["Body"] = body
        if query:
            arguments["QueryParameters"] = query
        where = f"Airflow ({airflow.environment} at {airflow.endpoint_url or 'AWS'}): {method} {path}"
        try:
            return self._client.invoke_rest_api(**arguments)["RestApiResponse"]
        except ClientError as error:
            answer: Mapping[str, Any] = error.response
            status = answer.get("RestApiStatusCode", 0)
            detail = answer.get("RestApiResponse") or answer["Error"].get("Message")
            if isinstance(detail, Mapping):
                detail = detail.get("detail") or detail.get("message") or detail.get("title") or dict(detail)
            raise AirflowError(f"{where}: {status or ''} {detail}", "make status", status) from None
        except BotoCoreError as error:
            raise AirflowError(f"{where}: {brief(error)}", "make status") from None

    def pages(self, method: str, path: str, key: str, asked: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list, 100 entries each. Airflow 2's lists by POST take the page in the body."""
        seen = 0
        while True:
            if method == "POST":
                answer = self.call(method, path, {**asked, "page_limit": _PAGE, "page_offset": seen})
            else:
                answer = self.call(method, path, query={**asked, "limit": _PAGE, "offset": seen})
            yield answer[key]
            seen += len(answer[key])
            if not answer[key] or seen >= answer["total_entries"]:
                return

    def health(self) -> dict[str, str]:
        """Part (scheduler, dag_processor) to "healthy", "unhealthy" or "missing"; raises AirflowError."""
        found = self.call("GET", "/health" if self.is_airflow_2 else "/monitor/health")
        # In 2.x the scheduler reads the DAGs itself.
        parts = ("scheduler",) if self.is_airflow_2 else ("scheduler", "dag_processor")
        return {part: found[part]["status"] or "missing" for part in parts}

    def dags(self) -> dict[str, dict[str, Any]]:
        """Every DAG that Airflow knows now, by its id."""
        return {dag["dag_id"]: dag for page in self.pages("GET", "/dags", "dags", {}) for dag in page}

    def import_errors(self) -> list[str]:
        """File and text of each DAG file that Airflow could not import, with what to change where that is known."""
        found = [error for page in self.pages("GET", "/importErrors", "import_errors", {}) for error in page]
        return [f"{_file(one['filename'])}: {explained(one['stack_trace'].strip())}" for one in found]

    def missing_dags(self) -> list[str]:
        """The batch DAG's id if its file is in the bucket and Airflow does not show the DAG yet."""
        bucket = self.profile.storage.dag_bucket
        try:
            listed = aws.client(self.profile, "s3").list_objects_v2(Bucket=bucket, Prefix=DAGS + MAIN_DAG_FILE)
        except (ClientError, BotoCoreError) as error:
            raise AirflowError(f"the DAG bucket {bucket}: {brief(error)}") from None
        return [self.dag_id] if listed.get("KeyCount") and self.dag_id not in self.dags() else []

    def own_dag(self) -> str:
        """A sentence if a file of the user's own project defines `<uid>_dag`; "" if pinflow's file does."""
        dag = self.dags().get(self.dag_id)
        if dag is None or (file := file_of(dag)) == MAIN_DAG_FILE:
            return ""
        return f"{file} defines {self.dag_id}; the one of {MAIN_DAG_FILE} is called {self.profile.uid}_pinflow"


def variables(profile: Profile) -> dict[str, str]:
    """The Airflow Variables that airflow/dags reads, without the notebooks' folder, which the workspace knows."""
    return {
        "pinterest_uid": profile.uid,
        "pinterest_bucket": profile.storage.bucket,
        "pinterest_cluster_id": profile.databricks.cluster_id,
    }


def file_of(dag: Mapping[str, Any]) -> str:
    """The file that defines a DAG, relative to dags/."""
    return _file(dag.get("relative_fileloc") or dag["fileloc"])


def _file(place: str) -> str:
    """A DAG file relative to dags/, as Airflow 3 names it; Airflow 2 knows only its path on the disk."""
    if not place.startswith("/"):
        return place
    # A folder may be called dags below dags/, and above it: prefer one of our own files.
    ends = [place[found.end() :] for found in re.finditer(f"/{DAGS}", place)]
    ours = {key.removeprefix(DAGS) for key in dag_bucket.files()}
    return next((end for end in ends if end in ours), ends[-1] if ends else PurePosixPath(place).name)


# What Airflow 3 removed, as its import errors show it, and what to write instead.
_ADVICE = {
    "schedule_interval": "schedule_interval is called schedule since Airflow 2.4",
    "airflow.utils.dates": "days_ago is gone: write a fixed start_date, such as datetime(2026, 1, 1)",
    "airflow.contrib": "the operators are in their providers: airflow.providers.databricks.operators.databricks",
    "airflow.operators": "the operators are in airflow.providers.standard.operators (EmptyOperator for DummyOperator)",
    "provide_context": "provide_context is gone: Airflow always passes the context",
    "concurrency": "concurrency is called max_active_tasks",
}


def explained(trace: str) -> str:
    """An import error, followed by what to change if its last line names something that Airflow 3 removed."""
    last = trace.splitlines()[-1] if trace else ""
    advice = next((text for word, text in _ADVICE.items() if word in last), None)
    return f"{trace}\n  → {advice}; or run it as it is: airflow.version 2.11.2 in the profile" if advice else trace
