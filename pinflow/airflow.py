"""Deploy DAGs to the MWAA environment, trigger a DAG and follow its run, report failed runs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from foundation import aws, dag_bucket
from foundation.errors import PinflowError, brief
from foundation.mwaa import DAGS, LONGEST_PATH, MAIN_DAG_FILE, AirflowError, Mwaa, file_of
from foundation.profile import Profile
from foundation.service import Say

_POLL_EVERY = 0.5
_RESTARTS_WITHIN = 180.0
"""Seconds in which a killed Airflow answers again, also on a busy machine."""
_PARSED_WITHIN = 60.0
# Airflow looks for new files every five minutes ([dag_processor] refresh_interval); here it is told to look sooner.
_PARSED_ON_AWS_WITHIN = 360.0
# An import error that is older than the upload disappears once Airflow has read the new file.
_SETTLED = 10.0
_REPORTED = {"running", "success", "failed", "up_for_retry", "upstream_failed", "skipped", "deferred"}


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG: its id, and its page in Airflow's UI."""

    run_id: str
    page: str


def deploy(profile: Profile, say: Say) -> None:
    """Upload what changed in airflow/ and wait until its DAGs can be triggered.

    Other objects in the bucket stay. Raises AirflowError on import errors, or if the batch DAG does not appear in time.
    """
    mwaa, began = Mwaa(profile), datetime.now(UTC)
    timeout = _PARSED_WITHIN if profile.stack else _PARSED_ON_AWS_WITHIN
    uploaded = _upload(profile, say)
    waiting = {key.removeprefix(DAGS) for key, file in uploaded.items() if key.startswith(DAGS) and _has_dag(file)}
    while waiting:
        waited = (datetime.now(UTC) - began).total_seconds()
        for dag in mwaa.dags().values():
            file = file_of(dag)
            if file in waiting and datetime.fromisoformat(dag["last_parsed_time"]) > began:
                waiting.discard(file)
                say(f"{dag['dag_id']} can be triggered, {waited:.0f} s after the upload")
        broken = [error for error in mwaa.import_errors() if error.partition(":")[0] in waiting]
        if broken and waited > _SETTLED:
            raise AirflowError("\n".join(broken), "correct the file, then run make deploy-dags")
        if waiting and waited > timeout:
            unseen = f"Airflow shows no DAG of {', '.join(sorted(waiting))} after {waited:.0f} s"
            if MAIN_DAG_FILE in waiting:
                raise AirflowError(unseen, "make status")
            say(f"{unseen}: make status")
            return
        time.sleep(_POLL_EVERY)


def changed(profile: Profile) -> dict[str, tuple[Path, str | None]]:
    """Files of airflow/ that are missing from the bucket or different there: key to file and the bucket's text."""
    bucket, s3 = profile.storage.dag_bucket, aws.client(profile, "s3")
    found: dict[str, tuple[Path, str | None]] = {}
    with _bucket_errors(profile):
        listed = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        existing = {item["Key"]: item["ETag"].strip('"') for page in listed for item in page.get("Contents", [])}
        for key, file in dag_bucket.files().items():
            content = file.read_bytes()
            if key not in existing:
                found[key] = (file, None)
            elif existing[key] != hashlib.md5(content).hexdigest():
                # Where a bucket encrypts with a key of KMS, its ETags are no digests.
                body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                if body != content:
                    found[key] = (file, body.decode(errors="replace"))
    return found


def run(profile: Profile, dag_id: str, say: Say) -> DagRun:
    """Trigger a DAG, report its tasks' progress, and return its run; raises AirflowError when it fails.

    A paused DAG, as every new one is on MWAA, is unpaused: its run would wait for ever. A DAG whose id is too long for
    MWAA to follow its run is not triggered.
    """
    mwaa = Mwaa(profile)
    dags = mwaa.dags()
    if dag_id not in dags:
        errors = "".join(f"\n{error}" for error in mwaa.import_errors())
        raise AirflowError(f"there is no DAG {dag_id}; DAGs: {', '.join(dags) or 'none'}{errors}", "make deploy-dags")
    run_id = f"now-{int(time.time())}"
    longest = max(_run_path(dag_id, run_id), _tasks_call(mwaa, dag_id, run_id)[1], key=len)
    if (excess := len(longest) - LONGEST_PATH) > 0:
        raise AirflowError(
            f"{dag_id}: MWAA takes paths of {LONGEST_PATH} characters, and {longest} has {excess} more",
            f"give it a dag_id of {len(dag_id) - excess} characters at most, or trigger it in Airflow's UI",
        )
    _trigger(mwaa, dags[dag_id], run_id)
    if dags[dag_id]["is_paused"]:
        say(f"{dag_id} was paused; from now on it also runs by its schedule")
        mwaa.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
    page = _page(mwaa, dag_id, run_id)
    say(f"{dag_id}: run {run_id}, {page}")
    state, tasks = _follow(mwaa, dag_id, run_id, say)
    if state == "success":
        return DagRun(run_id, page)
    for task in tasks:
        if task["state"] == "failed":
            _report_reason(profile, dag_id, run_id, task["task_id"], say)
    raise AirflowError(_failure(dag_id, run_id, tasks), f"its tasks and logs: {page}")


def report_failed_runs(profile: Profile, say: Say) -> bool:
    """Report every DAG whose latest run failed, with its failed tasks and why; returns whether there is one.

    A DAG whose id leaves no room in MWAA's path is skipped: MWAA cannot ask for its runs.
    """
    mwaa, found = Mwaa(profile, patient=False), False
    for dag_id, dag in mwaa.dags().items():
        path, newest = f"/dags/{dag_id}/dagRuns", {"limit": 1, "order_by": "-start_date"}
        if max(len(path), len(_tasks_call(mwaa, dag_id, "")[1])) > LONGEST_PATH:
            continue
        for latest in mwaa.call("GET", path, query=newest)["dag_runs"]:
            if latest["state"] != "failed":
                continue
            found, run_id = True, latest["dag_run_id"]
            tasks = _tasks(mwaa, dag_id, run_id)
            say(f"{_failure(dag_id, run_id, tasks)}\n  → its tasks and logs: {_page(mwaa, dag_id, run_id)}")
            for task in tasks if file_of(dag) == MAIN_DAG_FILE else []:
                if task["state"] == "failed":
                    _report_reason(profile, dag_id, run_id, task["task_id"], say)
    return found


def databricks_name(dag_id: str, run_id: str, task_id: str) -> str:
    """The name that airflow/dags/pinterest_dag.py gives to a task's run on Databricks."""
    return f"{dag_id}.{task_id} {run_id}"


def _upload(profile: Profile, say: Say) -> dict[str, Path]:
    bucket, s3 = profile.storage.dag_bucket, aws.client(profile, "s3")
    uploaded = {key: file for key, (file, _) in changed(profile).items()}
    with _bucket_errors(profile):
        for key, file in uploaded.items():
            s3.upload_file(str(file), bucket, key)
            say(f"s3://{bucket}/{key}")
    if not uploaded:
        say(f"s3://{bucket} is up to date with {dag_bucket.FOLDER.name}/")
    return uploaded


@contextmanager
def _bucket_errors(profile: Profile) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError, S3UploadFailedError) as error:
        bucket = profile.storage.dag_bucket
        raise AirflowError(f"the DAG bucket {bucket}: {brief(error)}", "storage.dag_bucket; make doctor") from None


def _has_dag(file: Path) -> bool:
    """Airflow's own rule for what it reads as a DAG file ([core] dag_discovery_safe_mode)."""
    text = file.read_bytes().lower()
    return file.suffix == ".py" and b"dag" in text and b"airflow" in text


def _trigger(mwaa: Mwaa, dag: Mapping[str, Any], run_id: str) -> None:
    """Trigger a run for now, or for the date that is due as soon as a paused DAG is unpaused.

    Otherwise the scheduler would at once start a second run, for that date.
    """
    date = datetime.now(UTC).isoformat()
    due = dag.get("next_dagrun_create_after" if mwaa.is_airflow_2 else "next_dagrun_run_after")
    if dag["is_paused"] and due and datetime.fromisoformat(due) <= datetime.now(UTC):
        date = dag["next_dagrun" if mwaa.is_airflow_2 else "next_dagrun_logical_date"]
    mwaa.call("POST", f"/dags/{dag['dag_id']}/dagRuns", {"dag_run_id": run_id, "logical_date": date})


def _follow(mwaa: Mwaa, dag_id: str, run_id: str, say: Say) -> tuple[str, list[dict[str, Any]]]:
    """Report every change of a task until the run has ended; returns the run's state and tasks.

    Waits for an Airflow that is restarted meanwhile. Raises AirflowError if it does not come back, or comes back
    without the run.
    """
    began = answered = time.monotonic()
    away = False
    seen: dict[str, tuple[str, int]] = {}
    while True:
        try:
            state = mwaa.call("GET", _run_path(dag_id, run_id))["state"]
            tasks = _tasks(mwaa, dag_id, run_id)
        except AirflowError as error:
            if error.status == 404:
                raise AirflowError(f"{dag_id}: run {run_id} is lost: {error.what}", "make status", 404) from None
            if time.monotonic() - answered > _RESTARTS_WITHIN or 400 <= error.status < 500:
                raise
            if not away:
                say(f"{error.what}; waiting for it")
            away = True
            time.sleep(_POLL_EVERY)
            continue
        answered, away = time.monotonic(), False
        for task in sorted(tasks, key=lambda task: task["start_date"] or "~"):
            now = (task["state"], task["try_number"])
            if task["state"] in _REPORTED and seen.get(task["task_id"]) != now:
                again = f", try {task['try_number']}" if task["try_number"] > 1 else ""
                say(f"{task['task_id']:<12} {task['state']}{again} after {time.monotonic() - began:.1f} s")
            seen[task["task_id"]] = now
        if state in ("success", "failed"):
            return state, tasks
        time.sleep(_POLL_EVERY)


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{run_id}"


def _tasks(mwaa: Mwaa, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for page in mwaa.pages(*_tasks_call(mwaa, dag_id, run_id)):
        of_run = [task for task in page if task["dag_run_id"] == run_id]
        found += of_run
        # A 3.x that does not know run_id_pattern lists those of all runs, the newest first.
        if found and not of_run:
            break
    return found


def _tasks_call(mwaa: Mwaa, dag_id: str, run_id: str) -> tuple[str, str, str, Mapping[str, Any]]:
    """The arguments of `Mwaa.pages` that list a run's tasks without its id in the path, where MWAA has no room for it.

    Airflow 3 has Airflow 2's list by POST too, and writes each such call into its audit log: on SQLite that ends in
    500.
    """
    if mwaa.is_airflow_2:
        asked = {"dag_ids": [dag_id], "dag_run_ids": [run_id]}
        return "POST", "/dags/~/dagRuns/~/taskInstances/list", "task_instances", asked
    pattern = {"run_id_pattern": run_id, "order_by": "-id"}
    return "GET", f"/dags/{dag_id}/dagRuns/~/taskInstances", "task_instances", pattern


def _report_reason(profile: Profile, dag_id: str, run_id: str, task_id: str, say: Say) -> None:
    """Report error and page of the task's last run on Databricks, found by the name that our DAG gives it."""
    # Databricks' client takes two seconds to import, which every `make status` would pay.
    from foundation.databricks import Workspace

    try:
        Workspace(profile).outcome(databricks_name(dag_id, run_id, task_id), say)
    except PinflowError as error:
        say(f"{task_id}: {error.what}")


def _page(mwaa: Mwaa, dag_id: str, run_id: str) -> str:
    where = f"grid?dag_run_id={run_id}" if mwaa.is_airflow_2 else f"runs/{run_id}"
    return f"{mwaa.profile.airflow.url}/dags/{dag_id}/{where}"


def _failure(dag_id: str, run_id: str, tasks: list[dict[str, Any]]) -> str:
    """A failed run in one line: the tasks that failed, and after how many tries."""
    failed = [f"{task['task_id']} (try {task['try_number']})" for task in tasks if task["state"] == "failed"]
    return f"{dag_id}: run {run_id} failed: {', '.join(failed) or 'no task failed; was the run ended by hand?'}"
