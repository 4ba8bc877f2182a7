"""What clients ask to run: tasks, their order and parameters, as the Jobs API 2.0 to 2.2 defines them.

Fields that mean nothing on one machine, such as notifications and new clusters, are stored; docs/capabilities.md lists
them.
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from services.databricks.workspace.api import WITHOUT_EFFECT, Parameters, Text
from services.databricks.workspace.errors import invalid_parameter, not_implemented

# Fields that `jobs/get` returns, and that are otherwise without effect.
Kept = Annotated[dict[str, Any] | None, WITHOUT_EFFECT]
RunIf = Literal["ALL_SUCCESS", "AT_LEAST_ONE_SUCCESS", "NONE_FAILED", "ALL_DONE", "AT_LEAST_ONE_FAILED", "ALL_FAILED"]


class NotebookTask(Parameters):
    """A notebook of the workspace and the values of its widgets."""

    notebook_path: str
    base_parameters: dict[str, Text] = Field(default_factory=dict)
    source: str = "WORKSPACE"

    @field_validator("notebook_path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError("Only absolute paths are currently supported. Paths must begin with '/'.")
        return path


class Dependency(Parameters):
    """A task that must end before."""

    task_key: str


class Work(Parameters):
    """What a task and a flat run have in common: what to run, where, and how often to try."""

    notebook_task: NotebookTask | None = None
    existing_cluster_id: str | None = None
    new_cluster: Kept = None
    job_cluster_key: Annotated[str | None, WITHOUT_EFFECT] = None
    libraries: Annotated[list[Any] | None, WITHOUT_EFFECT] = None
    timeout_seconds: int = Field(default=0, ge=0)
    max_retries: int = Field(default=0, ge=-1)
    min_retry_interval_millis: int = Field(default=0, ge=0)
    retry_on_timeout: bool = False

    @model_validator(mode="before")
    @classmethod
    def _only_notebooks(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for name in values:
            if name.endswith("_task") and name != "notebook_task":
                raise not_implemented(f"{name} (a task must be a notebook_task)")
        notebook = values.get("notebook_task")
        if values.get("git_source") or (isinstance(notebook, dict) and notebook.get("source") == "GIT"):
            raise not_implemented("Running notebooks from a Git provider (import them, and use their workspace path)")
        return values


class Task(Work):
    """One task of a run."""

    task_key: str = Field(pattern=r"^[\w\-]{1,100}$")
    description: str | None = None
    depends_on: list[Dependency] = Field(default_factory=list)
    run_if: RunIf = "ALL_SUCCESS"

    @property
    def upstream(self) -> list[str]:
        """The keys of the tasks that this one waits for."""
        return [dependency.task_key for dependency in self.depends_on]

    @property
    def notebook(self) -> NotebookTask:
        """Its notebook task; `tasks_of` has made sure that there is one."""
        assert self.notebook_task is not None
        return self.notebook_task


class JobParameter(Parameters):
    """A parameter of a job with its default."""

    name: str
    default: Text = ""


class Queue(Parameters):
    """Whether a run waits when the job's maximum of concurrent runs is reached."""

    enabled: bool = False


class Definition(Work):
    """A job's settings, or what is submitted once: `tasks`, or flat with the task's own fields at the top."""

    tasks: list[Task] | None = Field(default=None, max_length=100)
    parameters: list[JobParameter] = Field(default_factory=list)
    max_concurrent_runs: int = Field(default=1, ge=0, le=1000)
    queue: Queue = Queue()
    description: str | None = None
    tags: dict[str, Text] | None = None
    job_clusters: Annotated[list[dict[str, Any]] | None, WITHOUT_EFFECT] = None
    environments: Annotated[list[dict[str, Any]] | None, WITHOUT_EFFECT] = None
    schedule: Kept = None
    trigger: Kept = None
    continuous: dict[str, Any] | None = None
    email_notifications: Kept = None
    webhook_notifications: Kept = None
    notification_settings: Kept = None
    health: Kept = None

    @field_validator("continuous")
    @classmethod
    def _unpaused(cls, continuous: dict[str, Any]) -> dict[str, Any]:
        return {"pause_status": "UNPAUSED", **continuous}

    @field_validator("schedule", "trigger")
    @classmethod
    def _paused(cls, timing: dict[str, Any]) -> dict[str, Any]:
        # Nothing here starts a run by the clock, and the answer must not claim it.
        return {**timing, "pause_status": "PAUSED"}

    @model_validator(mode="after")
    def _sound(self) -> Definition:
        if self.tasks is not None:
            _check_graph(self.tasks)
        if self.continuous is not None:
            work: list[Work] = [*self.tasks] if self.tasks else [self]
            if any(each.max_retries for each in work):
                raise ValueError("A continuous job cannot have a retry policy: it is started again by itself.")
            if any(task.depends_on for task in self.tasks or []):
                raise ValueError("A continuous job cannot have task dependencies.")
        return self


class JobSettings(Definition):
    """A job as `jobs/create` defines it."""

    name: str = "Untitled"


class Submission(Definition):
    """The parameters of `runs/submit`."""

    run_name: str = "Untitled"
    idempotency_token: str | None = Field(default=None, max_length=64)


def tasks_of(definition: Definition, name: str) -> list[Task]:
    """The tasks of a definition; a flat one has one task, named after the run. Raises ApiError if there are none."""
    if definition.tasks:
        if definition.notebook_task:
            raise invalid_parameter("notebook_task and tasks exclude each other.")
        return definition.tasks
    if definition.notebook_task is None:
        raise invalid_parameter("notebook_task or tasks is required.")
    work = definition.model_dump(include=set(Work.model_fields) - {"timeout_seconds"}, exclude_none=True)
    # A flat run's timeout is the run's own.
    return [Task.model_validate({**work, "task_key": re.sub(r"[^\w\-]", "_", name)[:100] or "main"})]


def _check_graph(tasks: list[Task]) -> None:
    if not tasks:
        raise ValueError("At least one task is required.")
    known = {task.task_key for task in tasks}
    if len(known) < len(tasks):
        raise ValueError("Duplicate task keys: every task needs a task_key of its own.")
    for task in tasks:
        if task.notebook_task is None:
            raise ValueError(f"Task {task.task_key} has no notebook_task.")
        for key in task.upstream:
            if key not in known:
                raise ValueError(f"Task {task.task_key} depends on {key}, which does not exist.")
    try:
        TopologicalSorter({task.task_key: task.upstream for task in tasks}).prepare()
    except CycleError as error:
        raise ValueError(f"Cyclic dependency between the tasks {', '.join(sorted(set(error.args[1])))}.") from None
