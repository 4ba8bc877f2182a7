"""The MWAA environment from outside: put the DAGs into its bucket, see how it is, trigger a DAG and follow it.

All through boto3, so that it is the same on AWS: S3 for the bucket, `mwaa` and its `invoke_rest_api` for Airflow.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from foundation import aws
from foundation.errors import PinflowError, brief
from foundation.profile import ROOT, Profile
from services.airflow.bucket import files

Say = Callable[[str], None]

FOLDER = ROOT / "airflow"
DAGS = "dags/"
MAIN_DAG_FILE = "pinterest_dag.py"

_POLL_EVERY = 0.5
_AWAY = 180.0
"""Seconds in which a killed Airflow is there again, also on a busy machine."""
_PARSED_WITHIN = 60.0
# Airflow looks for new files every five minutes ([dag_processor] refresh_interval); here it is told to sooner.
_PARSED_ON_AWS_WITHIN = 360.0
# An import error that is older than the upload is gone when the new file has been read.
_SETTLED = 10.0
_PAGE = 100
"""[api] maximum_page_limit."""
_LONGEST_PATH = 64
"""RestApiPath in botocore's model of MWAA."""
_TOLD = {"running", "success", "failed", "up_for_retry", "upstream_failed", "skipped", "deferred"}


class AirflowError(PinflowError):
    """Airflow, or MWAA's door to it, refused a call or does not answer; ``status`` is Airflow's, 0 without one."""

    def __init__(self, what: str, fix: str = "", status: int = 0) -> None:
        super().__init__(what, fix)
        self.status = status


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG: its id, and its page in Airflow's UI."""

    run_id: str
    page: str


class Mwaa:
    """The profile's environment. Not ``patient``: one try of a few seconds, for a probe."""

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
        """The batch DAG."""
        return f"{self.profile.uid}_dag"

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """One call of Airflow's REST API, such as ("GET", "/dags"); its document. Raises AirflowError."""
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
            raise AirflowError(f"{where}: {status or ''} {_detail(detail)}", "make status", status) from None
        except BotoCoreError as error:
            raise AirflowError(f"{where}: {brief(error)}", "make status") from None

    def health(self) -> dict[str, str]:
        """Part (scheduler, dag_processor) to "healthy", "unhealthy" or "missing"; raises AirflowError."""
        found = self.call("GET", "/health" if self._old else "/monitor/health")
        # In 2.x the scheduler reads the DAGs itself.
        parts = ("scheduler",) if self._old else ("scheduler", "dag_processor")
        return {part: found[part]["status"] or "missing" for part in parts}

    def dags(self) -> dict[str, dict[str, Any]]:
        """Every DAG that is there at this moment, by its id."""
        return {dag["dag_id"]: dag for dag in self._all("/dags", "dags")}

    def import_errors(self) -> list[str]:
        """File and text of each DAG file that could not be imported, and what to change where that is known."""
        found = self._all("/importErrors", "import_errors")
        return [f"{_file(one['filename'])}: {explained(one['stack_trace'].strip())}" for one in found]

    def missing_dags(self) -> list[str]:
        """The batch DAG's id, where its file is in the bucket and Airflow does not show it; else nothing."""
        bucket = self.profile.storage.dag_bucket
        try:
            listed = aws.client(self.profile, "s3").list_objects_v2(Bucket=bucket, Prefix=DAGS + MAIN_DAG_FILE)
        except (ClientError, BotoCoreError) as error:
            raise AirflowError(f"the DAG bucket {bucket}: {brief(error)}") from None
        return [self.dag_id] if listed.get("KeyCount") and self.dag_id not in self.dags() else []

    def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        """Every entry of a list."""
        return [entry for page in self._pages("GET", path, key, {}) for entry in page]

    def _pages(self, method: str, path: str, key: str, asked: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list; Airflow gives 100 entries at a time. Airflow 2's lists by POST take all in the body."""
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

    def own_dag(self) -> str:
        """Which of a project's files defines `<uid>_dag`, for people; "" where it is pinflow's."""
        dag = self.dags().get(self.dag_id)
        if dag is None or (file := _file_of(dag)) == MAIN_DAG_FILE:
            return ""
        return f"{file} defines {self.dag_id}; the one of {MAIN_DAG_FILE} is called {self.profile.uid}_pinflow"

    def deploy(self, say: Say) -> None:
        """Upload what changed in airflow/, wait until its DAGs can be triggered.

        What else is in the bucket stays there. Raises AirflowError on import errors, and where the batch DAG cannot be
        seen in time.
        """
        began = datetime.now(UTC)
        longest = _PARSED_WITHIN if self.profile.stack else _PARSED_ON_AWS_WITHIN
        uploaded = self._upload(say)
        waiting = {key.removeprefix(DAGS) for key, file in uploaded.items() if key.startswith(DAGS) and _has_dag(file)}
        while waiting:
            waited = (datetime.now(UTC) - began).total_seconds()
            for dag in self.dags().values():
                file = _file_of(dag)
                if file in waiting and datetime.fromisoformat(dag["last_parsed_time"]) > began:
                    waiting.discard(file)
                    say(f"{dag['dag_id']} can be triggered, {waited:.0f} s after the upload")
            broken = [error for error in self.import_errors() if error.partition(":")[0] in waiting]
            if broken and waited > _SETTLED:
                raise AirflowError("\n".join(broken), "correct the file, then make deploy-dags")
            if waiting and waited > longest:
                unseen = f"no DAG of {', '.join(sorted(waiting))} is to be seen after {waited:.0f} s"
                if MAIN_DAG_FILE in waiting:
                    raise AirflowError(unseen, "make status")
                say(f"{unseen}: make status")
                return
            time.sleep(0.5)

    def run(self, dag_id: str, say: Say) -> DagRun:
        """Trigger a DAG, say how its tasks go, and return its run; raises AirflowError when it fails.

        A DAG that is paused, as every new one is on MWAA, is unpaused: its run would wait for ever. One whose run could
        not be followed, for its id is too long for MWAA, is not triggered.
        """
        dags = self.dags()
        if dag_id not in dags:
            errors = "".join(f"\n{error}" for error in self.import_errors())
            raise AirflowError(
                f"there is no DAG {dag_id}; DAGs: {', '.join(dags) or 'none'}{errors}", "make deploy-dags"
            )
        run_id = f"now-{int(time.time())}"
        longest = max(self._run_path(dag_id, run_id), self._tasks_call(dag_id, run_id)[1], key=len)
        if (excess := len(longest) - _LONGEST_PATH) > 0:
            raise AirflowError(
                f"{dag_id}: MWAA takes paths of {_LONGEST_PATH} characters, and {longest} has {excess} more",
                f"give it a dag_id of {len(dag_id) - excess} characters at most, or trigger it in Airflow's UI",
            )
        self._trigger(dags[dag_id], run_id)
        if dags[dag_id]["is_paused"]:
            say(f"{dag_id} was paused; from now on it also runs by its schedule")
            self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        page = self._page(dag_id, run_id)
        say(f"{dag_id}: run {run_id}, {page}")
        state, tasks = self._follow(dag_id, run_id, say)
        if state == "success":
            return DagRun(run_id, page)
        failed = [task["task_id"] for task in tasks if task["state"] == "failed"]
        for task in failed:
            self._tell_reason(dag_id, run_id, task, say)
        raise AirflowError(_failure(dag_id, run_id, tasks), f"its tasks and logs: {page}")

    def tell_failed_runs(self, say: Say) -> bool:
        """Say which DAGs' latest run failed, at which tasks and why; whether there are any.

        A DAG whose id leaves MWAA's path no room is left out: its runs cannot be asked for.
        """
        failed = False
        for dag_id, dag in self.dags().items():
            longest = max(f"/dags/{dag_id}/dagRuns", self._tasks_call(dag_id, "")[1], key=len)
            if len(longest) > _LONGEST_PATH:
                continue
            path, newest = f"/dags/{dag_id}/dagRuns", {"limit": 1, "order_by": "-start_date"}
            for run in self.call("GET", path, query=newest)["dag_runs"]:
                if run["state"] != "failed":
                    continue
                failed, run_id = True, run["dag_run_id"]
                tasks = self._tasks(dag_id, run_id)
                say(f"{_failure(dag_id, run_id, tasks)}\n  → its tasks and logs: {self._page(dag_id, run_id)}")
                for task in tasks if _file_of(dag) == MAIN_DAG_FILE else []:
                    if task["state"] == "failed":
                        self._tell_reason(dag_id, run_id, task["task_id"], say)
        return failed

    def changed(self) -> dict[str, tuple[Path, str | None]]:
        """What of airflow/ the bucket has not, or otherwise: key to file, and the text there (None: nothing)."""
        bucket, s3 = self.profile.storage.dag_bucket, aws.client(self.profile, "s3")
        found: dict[str, tuple[Path, str | None]] = {}
        with self._bucket_errors():
            listed = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            there = {item["Key"]: item["ETag"].strip('"') for page in listed for item in page.get("Contents", [])}
            for key, file in files(FOLDER).items():
                content = file.read_bytes()
                if key not in there:
                    found[key] = (file, None)
                elif there[key] != hashlib.md5(content).hexdigest():
                    # Where a bucket encrypts with a key of KMS, its ETags are no digests.
                    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                    if body != content:
                        found[key] = (file, body.decode(errors="replace"))
        return found

    def _upload(self, say: Say) -> dict[str, Path]:
        bucket, s3 = self.profile.storage.dag_bucket, aws.client(self.profile, "s3")
        changed = {key: file for key, (file, _) in self.changed().items()}
        with self._bucket_errors():
            for key, file in changed.items():
                s3.upload_file(str(file), bucket, key)
                say(f"s3://{bucket}/{key}")
        if not changed:
            say(f"s3://{bucket} has what is in {FOLDER.name}/ already")
        return changed

    @contextmanager
    def _bucket_errors(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, S3UploadFailedError) as error:
            bucket = self.profile.storage.dag_bucket
            raise AirflowError(f"the DAG bucket {bucket}: {brief(error)}", "storage.dag_bucket; make doctor") from None

    def _trigger(self, dag: Mapping[str, Any], run_id: str) -> None:
        """Trigger a run for now, or for the date that is due as soon as a paused DAG is unpaused.

        Otherwise the scheduler would at once start a second run, for that date.
        """
        date = datetime.now(UTC).isoformat()
        due = dag.get("next_dagrun_create_after" if self._old else "next_dagrun_run_after")
        if dag["is_paused"] and due and datetime.fromisoformat(due) <= datetime.now(UTC):
            date = dag["next_dagrun" if self._old else "next_dagrun_logical_date"]
        self.call("POST", f"/dags/{dag['dag_id']}/dagRuns", {"dag_run_id": run_id, "logical_date": date})

    def _follow(self, dag_id: str, run_id: str, say: Say) -> tuple[str, list[dict[str, Any]]]:
        """Say every change of a task until the run has ended; its state and tasks.

        An Airflow that is restarted meanwhile is waited for. Raises AirflowError where it stays away, or comes back
        without the run.
        """
        began = answered = time.monotonic()
        away = False
        seen: dict[str, tuple[str, int]] = {}
        while True:
            try:
                state = self.call("GET", self._run_path(dag_id, run_id))["state"]
                tasks = self._tasks(dag_id, run_id)
            except AirflowError as error:
                if error.status == 404:
                    raise AirflowError(f"{dag_id}: run {run_id} is lost: {error.what}", "make status", 404) from None
                if time.monotonic() - answered > _AWAY or 400 <= error.status < 500:
                    raise
                if not away:
                    say(f"{error.what}; waiting for it")
                away = True
                time.sleep(_POLL_EVERY)
                continue
            answered, away = time.monotonic(), False
            for task in sorted(tasks, key=lambda task: task["start_date"] or "~"):
                now = (task["state"], task["try_number"])
                if task["state"] in _TOLD and seen.get(task["task_id"]) != now:
                    again = f", try {task['try_number']}" if task["try_number"] > 1 else ""
                    say(f"{task['task_id']:<12} {task['state']}{again} after {time.monotonic() - began:.1f} s")
                seen[task["task_id"]] = now
            if state in ("success", "failed"):
                return state, tasks
            time.sleep(_POLL_EVERY)

    @staticmethod
    def _run_path(dag_id: str, run_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{run_id}"

    def _tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run."""
        found: list[dict[str, Any]] = []
        for page in self._pages(*self._tasks_call(dag_id, run_id)):
            of_run = [task for task in page if task["dag_run_id"] == run_id]
            found += of_run
            # A 3.x that does not know run_id_pattern lists those of all runs, the newest first.
            if found and not of_run:
                break
        return found

    def _tasks_call(self, dag_id: str, run_id: str) -> tuple[str, str, str, Mapping[str, Any]]:
        """What `_pages` takes to list a run's tasks without its id in the path, which MWAA's limit leaves no room for.

        Airflow 3 has 2's list by POST too, and writes each such call into its audit log: on SQLite that ends in 500.
        """
        if self._old:
            asked = {"dag_ids": [dag_id], "dag_run_ids": [run_id]}
            return "POST", "/dags/~/dagRuns/~/taskInstances/list", "task_instances", asked
        pattern = {"run_id_pattern": run_id, "order_by": "-id"}
        return "GET", f"/dags/{dag_id}/dagRuns/~/taskInstances", "task_instances", pattern

    def _tell_reason(self, dag_id: str, run_id: str, task_id: str, say: Say) -> None:
        """Say error and page of the task's last run on Databricks, found by the name that our DAG gives it."""
        # Databricks' client takes two seconds to import, which every `make status` would pay.
        from foundation.databricks import Workspace

        try:
            Workspace(self.profile).outcome(databricks_name(dag_id, run_id, task_id), say)
        except PinflowError as error:
            say(f"{task_id}: {error.what}")

    def _page(self, dag_id: str, run_id: str) -> str:
        url = self.profile.airflow.url
        return f"{url}/dags/{dag_id}/grid?dag_run_id={run_id}" if self._old else f"{url}/dags/{dag_id}/runs/{run_id}"

    @property
    def _old(self) -> bool:
        return self.profile.airflow.version.startswith("2")


def databricks_name(dag_id: str, run_id: str, task_id: str) -> str:
    """What airflow/dags/pinterest_dag.py calls the run of a task on Databricks."""
    return f"{dag_id}.{task_id} {run_id}"


def _failure(dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """A failed run in one line: its tasks that failed, and after how many tries."""
    failed = [f"{task['task_id']} (try {task['try_number']})" for task in tasks if task["state"] == "failed"]
    return f"{dag_id}: run {run_id} failed: {', '.join(failed) or 'no task of it failed: was it ended by hand?'}"


def _file_of(dag: Mapping[str, Any]) -> str:
    """The file of a DAG, from dags/ on."""
    return _file(dag.get("relative_fileloc") or dag["fileloc"])


def _file(place: str) -> str:
    """A DAG file from dags/ on, as Airflow 3 names it; Airflow 2 knows its place on the disk only."""
    if not place.startswith("/"):
        return place
    # A folder may be called dags below dags/, and above it: one of our own files, if there is one that fits.
    ends = [place[found.end() :] for found in re.finditer(f"/{DAGS}", place)]
    ours = {key.removeprefix(DAGS) for key in files(FOLDER)}
    return next((end for end in ends if end in ours), ends[-1] if ends else PurePosixPath(place).name)


def _has_dag(file: Path) -> bool:
    """Airflow's own rule for what it reads as a DAG file ([core] dag_discovery_safe_mode)."""
    text = file.read_bytes().lower()
    return file.suffix == ".py" and b"dag" in text and b"airflow" in text


# What Airflow 3 took away, as its import errors show it, and what to write instead.
_ADVICE = {
    "schedule_interval": "schedule_interval is called schedule since Airflow 2.4",
    "airflow.utils.dates": "days_ago is gone: write a fixed start_date, such as datetime(2026, 1, 1)",
    "airflow.contrib": "the operators are in their providers: airflow.providers.databricks.operators.databricks",
    "airflow.operators": "the operators are in airflow.providers.standard.operators (EmptyOperator for DummyOperator)",
    "provide_context": "provide_context is gone: the context is always given",
    "concurrency": "concurrency is called max_active_tasks",
}


def explained(trace: str) -> str:
    """An import error with what to change, where its last line names something that Airflow 3 took away."""
    last = trace.splitlines()[-1] if trace else ""
    advice = next((text for word, text in _ADVICE.items() if word in last), None)
    return f"{trace}\n  → {advice}; or run it as it is: airflow.version 2.11.2 in the profile" if advice else trace


def _detail(document: Any) -> str:
    """What an error document of Airflow says, in one line."""
    if isinstance(document, Mapping):
        document = document.get("detail") or document.get("message") or document.get("title") or dict(document)
    return str(document)
