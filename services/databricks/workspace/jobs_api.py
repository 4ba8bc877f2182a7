"""The Jobs API 2.0, 2.1 and 2.2: https://docs.databricks.com/api/workspace/jobs."""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import Field

from services.databricks.workspace.api import Api, Int64, Parameters, Text, parse
from services.databricks.workspace.definitions import JobSettings, Submission, tasks_of
from services.databricks.workspace.errors import invalid_parameter
from services.databricks.workspace.presentation import job_details, run_metadata
from services.databricks.workspace.run_page import exported_page
from services.databricks.workspace.runs import Request
from services.databricks.workspace.store import Job, now
from services.databricks.workspace.workspace import Workspace

api = Api("/api/{version}/jobs", "2.0", "2.1", "2.2")
# The lists that jobs/update merges, by the field that identifies an entry; it replaces other fields.
_KEYS = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "parameters": "name",
    "environments": "environment_key",
}


class RunId(Parameters):
    run_id: Int64


class JobId(Parameters):
    job_id: Int64


class CancelAll(Parameters):
    job_id: Int64 | None = None
    all_queued_runs: bool = False


class Page(Parameters):
    version: str
    limit: int = Field(default=20, ge=0)
    offset: Int64 = Field(default=0, ge=0)
    page_token: str | None = None
    expand_tasks: bool = False

    @property
    def expanded(self) -> bool:
        """Whether entries come with their tasks: always in 2.0."""
        return self.expand_tasks or self.version == "2.0"

    @property
    def before(self) -> int | None:
        """The id that the page starts below."""
        if not self.page_token:
            return None
        try:
            word, number = base64.urlsafe_b64decode(self.page_token).decode().split(" ")
            if word == "before" and 0 <= int(number) < 2**63:
                return int(number)
        except ValueError:
            pass
        raise invalid_parameter("Invalid page token.")

    def size(self, most: int) -> int:
        """The number of entries: at most ``most``, or 1000 in 2.0."""
        most = 1000 if self.version == "2.0" else most
        if self.limit > most:
            raise invalid_parameter(f"Invalid value for limit: {self.limit}. It must be between 1 and {most}.")
        return self.limit or most


class RunsListing(Page):
    job_id: Int64 | None = None
    active_only: bool = False
    completed_only: bool = False
    run_type: Literal["JOB_RUN", "WORKFLOW_RUN", "SUBMIT_RUN"] | None = None
    start_time_from: Int64 | None = None
    start_time_to: Int64 | None = None


class JobsListing(Page):
    name: str | None = None


class RunNow(JobId):
    job_parameters: dict[str, Text] = Field(default_factory=dict)
    notebook_params: dict[str, Text] = Field(default_factory=dict)
    python_named_params: dict[str, Text] = Field(default_factory=dict)
    idempotency_token: str | None = Field(default=None, max_length=64)


class Reset(JobId):
    new_settings: JobSettings


class Update(JobId):
    new_settings: dict[str, Any] = Field(default_factory=dict)
    fields_to_remove: list[str] = Field(default_factory=list)


@api.post("/runs/submit")
async def submit_run(workspace: Workspace, asked: Submission) -> dict[str, Any]:
    run = workspace.runs.start(Request(asked, asked.run_name, token=asked.idempotency_token))
    return {"run_id": run.run_id}


@api.get("/runs/get")
async def get_run(workspace: Workspace, asked: RunId) -> dict[str, Any]:
    return run_metadata(workspace.runs.run(asked.run_id), workspace.settings, workspace.store)


@api.get("/runs/get-output")
async def get_run_output(workspace: Workspace, asked: RunId) -> dict[str, Any]:
    run, output = workspace.runs.output(asked.run_id)
    answer = {"metadata": run_metadata(run, workspace.settings, workspace.store), **output}
    if run.result == "SUCCESS":
        return {"notebook_output": {}, **answer}
    # A task that never ran has no output, and the reason is what Airflow shows as its error.
    return answer if run.active or "error" in answer else {**answer, "error": run.message}


@api.get("/runs/list")
async def list_runs(workspace: Workspace, asked: RunsListing) -> dict[str, Any]:
    if asked.active_only and asked.completed_only:
        raise invalid_parameter("active_only and completed_only cannot both be true.")
    limit = asked.size(most=25)
    runs = workspace.store.runs(
        limit + 1,
        offset=asked.offset,
        before=asked.before,
        job_id=asked.job_id,
        kind=asked.run_type,
        active=True if asked.active_only else False if asked.completed_only else None,
        start_from=asked.start_time_from,
        start_to=asked.start_time_to,
    )
    shown = [run_metadata(run, workspace.settings, workspace.store, asked.expanded) for run in runs[:limit]]
    return _page("runs", shown, "run_id", len(runs) > limit)


@api.post("/runs/cancel")
async def cancel_run(workspace: Workspace, asked: RunId) -> None:
    workspace.runs.cancel(asked.run_id)


@api.post("/runs/cancel-all")
async def cancel_all_runs(workspace: Workspace, asked: CancelAll) -> None:
    if asked.job_id is None and not asked.all_queued_runs:
        raise invalid_parameter("job_id or all_queued_runs is required.")
    workspace.runs.cancel_all(asked.job_id)


@api.post("/runs/delete")
async def delete_run(workspace: Workspace, asked: RunId) -> None:
    workspace.runs.delete(asked.run_id)


@api.get("/runs/export")
def export_run(workspace: Workspace, asked: RunId) -> dict[str, Any]:
    run, _ = workspace.runs.output(asked.run_id)
    task = run if run.parent_id else workspace.store.tasks(run.run_id)[0]
    name = task.definition["notebook_task"]["notebook_path"].rpartition("/")[2]
    return {"views": [{"content": exported_page(workspace, task), "name": name, "type": "NOTEBOOK"}]}


@api.post("/create")
async def create_job(workspace: Workspace, asked: JobSettings) -> dict[str, Any]:
    job = Job(workspace.store.new_id(), now(), _settings(asked))
    _save(workspace, job)
    return {"job_id": job.job_id}


@api.get("/get")
async def get_job(workspace: Workspace, asked: JobId) -> dict[str, Any]:
    return job_details(_job(workspace, asked.job_id), workspace.settings)


@api.get("/list")
async def list_jobs(workspace: Workspace, asked: JobsListing) -> dict[str, Any]:
    limit = asked.size(most=100)
    jobs = workspace.store.jobs(asked.before, limit + 1, asked.offset, asked.name)
    shown = [job_details(job, workspace.settings, asked.expanded) for job in jobs[:limit]]
    return _page("jobs", shown, "job_id", len(jobs) > limit)


@api.post("/reset")
async def reset_job(workspace: Workspace, asked: Reset) -> None:
    job = _job(workspace, asked.job_id)
    _save(workspace, Job(job.job_id, job.created, _settings(asked.new_settings)))


@api.post("/update")
async def update_job(workspace: Workspace, asked: Update) -> None:
    job = _job(workspace, asked.job_id)
    changed = _without(job.settings, asked.fields_to_remove)
    for name, value in asked.new_settings.items():
        changed[name] = _merged(changed.get(name, []), value, name) if name in _KEYS else value
    _save(workspace, Job(job.job_id, job.created, _settings(parse(JobSettings, changed))))


@api.post("/delete")
async def delete_job(workspace: Workspace, asked: JobId) -> None:
    _job(workspace, asked.job_id)
    workspace.store.delete_job(asked.job_id)
    workspace.runs.cancel_all(asked.job_id)


@api.post("/run-now")
async def run_now(workspace: Workspace, asked: RunNow) -> dict[str, Any]:
    settings = parse(JobSettings, _job(workspace, asked.job_id).settings)
    parameters = {"job_parameters": asked.job_parameters, "notebook_params": asked.notebook_params}
    run = workspace.runs.start(
        Request(settings, settings.name, job_id=asked.job_id, parameters=parameters, token=asked.idempotency_token)
    )
    return {"run_id": run.run_id, "number_in_job": run.run_id}


def _job(workspace: Workspace, job_id: int) -> Job:
    job = workspace.store.job(job_id)
    if job is None:
        raise invalid_parameter(f"Job {job_id} does not exist.")
    return job


def _save(workspace: Workspace, job: Job) -> None:
    workspace.store.save_job(job)
    workspace.continuous.ensure_run(job.job_id)


def _settings(settings: JobSettings) -> dict[str, Any]:
    tasks_of(settings, settings.name)
    dumped = settings.model_dump(exclude_none=True, exclude_defaults=True)
    shown = {"name": settings.name, "max_concurrent_runs": settings.max_concurrent_runs, "timeout_seconds": 0}
    return {**shown, **dumped}


def _without(settings: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """Without whole fields, and without entries of its tasks and job clusters: `tasks/<task_key>`."""
    left = dict(settings)
    for field in fields:
        name, nested, key = field.partition("/")
        if not nested:
            left.pop(name, None)
        elif name not in ("tasks", "job_clusters") or "/" in key:
            raise invalid_parameter(
                f"fields_to_remove: {field} (only whole fields, tasks/<key> and job_clusters/<key>)"
            )
        elif name in left:
            left[name] = [entry for entry in left[name] if entry.get(_KEYS[name]) != key]
    return left


def _merged(old: list[dict[str, Any]], new: Any, name: str) -> list[dict[str, Any]]:
    """The old entries in their order, each replaced by the new one with its key; then the other new ones."""
    key = _KEYS[name]
    if not isinstance(new, list) or not all(isinstance(entry, dict) and entry.get(key) for entry in new):
        raise invalid_parameter(f"new_settings.{name} must be a list of objects, each with its {key}.")
    return list(({entry.get(key): entry for entry in old} | {str(entry[key]): entry for entry in new}).values())


def _page(name: str, shown: list[dict[str, Any]], id_name: str, more: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"has_more": more}
    if shown:
        answer[name] = shown
    if more:
        answer["next_page_token"] = base64.urlsafe_b64encode(f"before {shown[-1][id_name]}".encode()).decode()
    return answer
