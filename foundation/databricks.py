"""A client of the Databricks workspace: upload a folder, run notebooks as a job, report progress."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.errors import NotFound
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.jobs import (
    Continuous,
    JobSettings,
    NotebookTask,
    PauseStatus,
    Run,
    RunResultState,
    RunTask,
    SubmitTask,
    TaskDependency,
)
from databricks.sdk.service.jobs import Task as JobTask
from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language

from foundation import upload
from foundation.errors import PinflowError, brief
from foundation.loopback import is_local
from foundation.profile import ROOT, Profile
from foundation.service import Say
from foundation.upload import Upload

SPARK_FOLDER = "pinflow"
"""The name of the workspace's copy of spark/, in the user's own folder."""

_POLL_EVERY = 0.3
_LOOKED_AT = 200
"""How many ended runs to search for the latest one of a name."""
_ENDED = {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}
_LANGUAGES = {".py": Language.PYTHON, ".sql": Language.SQL}
_EXPORTED = {ImportFormat.JUPYTER: ExportFormat.JUPYTER, ImportFormat.SOURCE: ExportFormat.SOURCE}


@dataclass(frozen=True)
class Task:
    """One task of a job: its key, the notebook's path in the workspace, its parameters, the keys it waits for."""

    key: str
    notebook: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a job ended: whether all tasks succeeded, its page, each notebook's `dbutils.notebook.exit` value by task."""

    succeeded: bool
    page: str
    results: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """A run that failed: the first line of its error, its page, and when it ended, in seconds since 1970."""

    reason: str
    page: str
    ended: float


class Workspace:
    """The profile's workspace, through Databricks' own client."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._client: WorkspaceClient | None = None

    @property
    def client(self) -> WorkspaceClient:
        """The client, with the profile's address and token and nothing from the environment."""
        if self._client is None:
            databricks = self.profile.databricks
            token = databricks.token.get_secret_value()
            if self.profile.stack is None:
                # Databricks' client would retry for a minute; a remote workspace is not restarting, so fail at once.
                requests.get(f"{databricks.host}/.well-known/databricks-config", timeout=(5, 15))
            # By default it retries for five minutes.
            config = Config(host=databricks.host, token=token, auth_type="pat", retry_timeout_seconds=30)
            self._client = WorkspaceClient(config=config)
        return self._client

    @property
    def home(self) -> str:
        """The user's own folder in the workspace."""
        with self._errors("current user"):
            return f"/Users/{self.client.current_user.me().user_name}"

    @property
    def spark_folder(self) -> str:
        """The workspace's copy of spark/."""
        return f"{self.home}/{SPARK_FOLDER}"

    @property
    def notebooks_folder(self) -> str:
        """Our notebooks in the workspace."""
        return f"{self.spark_folder}/notebooks"

    @property
    def elsewhere(self) -> bool:
        """Whether it is on another machine; a local address without a local stack is a tunnel to one."""
        return self.profile.stack is None or not is_local(self.profile.databricks.host)

    def sync(self, folder: Path, target: str, say: Say) -> int:
        """Upload the files below ``folder`` into the workspace folder ``target``; returns how many.

        A workspace on another machine gets nothing that `upload.of_folder` calls private. Reports what was skipped.
        """
        chosen = upload.of_folder(folder, private=not self.elsewhere)
        for note in chosen.notes():
            say(note)
        return self.put(chosen, target, say)

    def sync_notebooks(self, say: Say) -> str:
        """Put spark/ (our notebooks and the package that they import) into the workspace; returns notebooks_folder."""
        self.sync(ROOT / "spark", self.spark_folder, say)
        return self.notebooks_folder

    def put(self, chosen: Upload, target: str, say: Say) -> int:
        """Send an upload to the workspace folder ``target``; returns the number of files.

        Notebooks (Databricks source format, .ipynb) become notebooks, everything else files. Existing ones are
        replaced; others in the folder stay.
        """
        with self._errors(f"sync {chosen.folder} to {target}"):
            for directory in sorted({str(_place(f, chosen.folder, target).parent) for f in chosen.files}):
                self.client.workspace.mkdirs(directory)
            for file in chosen.files:
                self._put(file, _place(file, chosen.folder, target))
        say(f"uploaded {len(chosen.files)} files of {chosen.folder.name}/ to {target}")
        return len(chosen.files)

    def differing(self, folder: Path, target: str) -> dict[str, tuple[str | None, str]]:
        """What `sync` would change: path in the workspace to its text there (None: missing) and its text here."""
        found: dict[str, tuple[str | None, str]] = {}
        chosen = upload.of_folder(folder, private=not self.elsewhere)
        with self._errors(f"compare {folder} with {target}"):
            for file in chosen.files:
                kind, _, path = _imported(file, _place(file, chosen.folder, target))
                exported = _EXPORTED.get(kind, ExportFormat.AUTO)
                here = file.read_text(encoding="utf-8", errors="replace")
                try:
                    answer = self.client.workspace.export(str(path), format=exported)
                except NotFound:
                    found[str(path)] = (None, here)
                    continue
                there = base64.b64decode(answer.content or "").decode(errors="replace")
                # Databricks ends an exported notebook with or without a newline.
                if there.rstrip() != here.rstrip():
                    found[str(path)] = (there, here)
        return found

    def run(self, name: str, tasks: list[Task], say: Say) -> Outcome:
        """Submit the tasks as one job, report their progress, and wait for the end; Ctrl-C cancels the job."""
        with self._errors(f"job {name}"):
            submitted = self.client.jobs.submit(
                run_name=name, tasks=[SubmitTask(**self._fields_of(task)) for task in tasks]
            )
            run_id = submitted.response.run_id  # type: ignore[attr-defined]  # Wait[Run] is built dynamically
            try:
                run = self._follow(run_id, say)
            except KeyboardInterrupt:
                self.client.jobs.cancel_run(run_id)
                raise
            return self._outcome(run, say)

    def outcome(self, name: str, say: Say) -> Outcome | None:
        """How the latest run of that name ended; reports what failed. None if there is no such run."""
        with self._errors(f"runs named {name}"):
            latest = next((run for run in self.client.jobs.list_runs() if run.run_name == name), None)
            return self._outcome(self.client.jobs.get_run(latest.run_id or 0), say) if latest else None

    def last_failure(self, name: str, *, job: bool = False) -> Failure | None:
        """How the latest ended run of that name (or of the job of that name) failed; None if it did not."""
        with self._errors(f"runs of {name}"):
            job_id = self._job(name) if job else None
            if job and job_id is None:
                return None
            runs = self.client.jobs.list_runs(job_id=job_id, completed_only=True)
            latest = next((run for run in islice(runs, _LOOKED_AT) if job or run.run_name == name), None)
            state = latest.state.result_state if latest and latest.state else None
            if latest is None or state in (None, RunResultState.SUCCESS, RunResultState.CANCELED):
                return None
            run = self.client.jobs.get_run(latest.run_id or 0)
            failed = next((task for task in run.tasks or [] if task.run_id and _state(task) == "FAILED"), None)
            error = self.client.jobs.get_run_output(failed.run_id).error if failed and failed.run_id else None
            reason = (error or (run.state and run.state.state_message) or "failed").strip().splitlines()[0]
            task = f"{failed.task_key}: " if failed else ""
            return Failure(task + reason, run.run_page_url or "", (run.end_time or 0) / 1000)

    def keep_running(self, name: str, task: Task) -> str:
        """Run a notebook as a continuous job, which restarts it whenever it ends; returns the job's page.

        An existing job of that name is changed to this one and restarted.
        """
        with self._errors(f"job {name}"):
            self.stop_running(name)
            job_id = self._job(name)
            settings = JobSettings(
                name=name,
                max_concurrent_runs=1,
                continuous=Continuous(pause_status=PauseStatus.UNPAUSED),
                tasks=[JobTask(**self._fields_of(task))],
            )
            if job_id is None:
                job_id = self.client.jobs.create(**vars(settings)).job_id
            else:
                self.client.jobs.reset(job_id, settings)
            return f"{self.profile.databricks.host.rstrip('/')}/jobs/{job_id}"

    def keeps_running(self, name: str) -> bool:
        """Whether the job exists and is not paused."""
        with self._errors(f"job {name}"):
            job_id = self._job(name)
            settings = self.client.jobs.get(job_id).settings if job_id is not None else None
            return bool(settings and settings.continuous and settings.continuous.pause_status == PauseStatus.UNPAUSED)

    def stop_running(self, name: str) -> bool:
        """Pause a continuous job and cancel its runs; returns whether it was unpaused or running."""
        with self._errors(f"job {name}"):
            job_id = self._job(name)
            if job_id is None:
                return False
            kept = self.keeps_running(name)
            paused = Continuous(pause_status=PauseStatus.PAUSED)
            self.client.jobs.update(job_id, new_settings=JobSettings(continuous=paused))
            active = [run.run_id for run in self.client.jobs.list_runs(job_id=job_id, active_only=True) if run.run_id]
            for run_id in active:
                self.client.jobs.cancel_run_and_wait(run_id)
            return kept or bool(active)

    def read_file(self, path: str) -> str | None:
        """The text of a small file (1 MB at most) in dbfs:/; None if it does not exist."""
        with self._errors(f"dbfs:{path}"):
            try:
                answer = self.client.dbfs.read(path)
            except NotFound:
                return None
            return base64.b64decode(answer.data or "").decode()

    def _job(self, name: str) -> int | None:
        return next((job.job_id for job in self.client.jobs.list(name=name)), None)

    def _put(self, file: Path, place: PurePosixPath) -> None:
        kind, language, path = _imported(file, place)
        encoded = base64.b64encode(file.read_bytes()).decode()
        self.client.workspace.import_(str(path), content=encoded, format=kind, language=language, overwrite=True)

    def _fields_of(self, task: Task) -> dict[str, Any]:
        """The fields of a task that a job and a submitted run have in common."""
        return {
            "task_key": task.key,
            "existing_cluster_id": self.profile.databricks.cluster_id,
            "notebook_task": NotebookTask(notebook_path=task.notebook, base_parameters=dict(task.parameters)),
            "depends_on": [TaskDependency(task_key=key) for key in task.after],
        }

    def _follow(self, run_id: int, say: Say) -> Run:
        began = time.monotonic()
        seen: dict[str | None, str] = {}
        while True:
            run = self.client.jobs.get_run(run_id)
            for task in run.tasks or []:
                state = _state(task)
                if state != seen.get(task.task_key) and state not in ("PENDING", "BLOCKED"):
                    say(f"{task.task_key:<12} {state.lower()} after {time.monotonic() - began:.1f} s")
                seen[task.task_key] = state
            if run.state and run.state.life_cycle_state and run.state.life_cycle_state.value in _ENDED:
                return run
            time.sleep(_POLL_EVERY)

    def _outcome(self, run: Run, say: Say) -> Outcome:
        results = {}
        for task in run.tasks or []:
            if task.run_id is None or _state(task) not in ("SUCCESS", "FAILED", "TIMEDOUT"):
                continue
            output = self.client.jobs.get_run_output(task.run_id)
            if _state(task) != "SUCCESS":
                say(f"{task.task_key}: {output.error or 'failed'}\n  → its cells and errors: {task.run_page_url}")
            elif output.notebook_output and output.notebook_output.result:
                results[task.task_key or ""] = output.notebook_output.result
        succeeded = bool(run.state and run.state.result_state and run.state.result_state.value == "SUCCESS")
        return Outcome(succeeded, run.run_page_url or "", results)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (DatabricksError, OSError, ValueError) as error:
            host = self.profile.databricks.host
            raise PinflowError(f"{what}: {host}: {brief(error)}", "make status") from None


def _state(task: RunTask) -> str:
    """SUCCESS, FAILED, … once there is a result, before that the life cycle's state."""
    state = task.state
    if state is None:
        return "PENDING"
    if state.result_state:
        return str(state.result_state.value)
    return str(state.life_cycle_state.value) if state.life_cycle_state else "PENDING"


def _imported(file: Path, place: PurePosixPath) -> tuple[ImportFormat, Language | None, PurePosixPath]:
    """How to import a file, and to which path: a notebook loses its suffix, anything else is a file."""
    header = file.read_bytes().lstrip(b"\xef\xbb\xbf").splitlines()[:1]
    language = _LANGUAGES.get(file.suffix)
    if file.suffix == ".ipynb":
        return ImportFormat.JUPYTER, None, place.with_suffix("")
    if language and header and header[0].endswith(b"Databricks notebook source"):
        return ImportFormat.SOURCE, language, place.with_suffix("")
    return ImportFormat.AUTO, None, place


def _place(file: Path, folder: Path, target: str) -> PurePosixPath:
    return PurePosixPath(target) / file.relative_to(folder).as_posix()
