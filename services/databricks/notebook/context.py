"""What notebooks read about their run: dbutils.notebook.entry_point.getDbutils().notebook().getContext()."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .document import Document


class Option:
    """Scala's Option, as py4j shows it."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        if self._value is None:
            raise ValueError("None.get")
        return self._value

    def getOrElse(self, default: Any) -> Any:
        return default if self._value is None else self._value

    def isDefined(self) -> bool:
        return self._value is not None

    def isEmpty(self) -> bool:
        return self._value is None

    def __str__(self) -> str:
        return "None" if self._value is None else f"Some({self._value})"

    toString = __str__


class Tags:
    """Scala's Map of texts."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self.apply, self.contains, self.getOrElse = values.__getitem__, values.__contains__, values.get

    def get(self, name: str) -> Option:
        return Option(self._values.get(name))

    def __str__(self) -> str:
        return json.dumps(self._values)


@dataclass(frozen=True)
class RunId:
    """Has `id()`, and a text that notebooks take apart."""

    number: int

    def id(self) -> int:
        return self.number

    def __str__(self) -> str:
        return f"RunId({self.number})"


class Context:
    """Calls of the notebook context that are known here; any other is an AttributeError that names it."""

    def __init__(self, document: Document) -> None:
        self._run, run_id = {"id": document.run_id}, str(document.run_id)
        job_id = None if document.job_id is None else str(document.job_id)
        host = document.api_url.partition("://")[2]
        same = {"clusterId": document.cluster_id, "notebookPath": document.notebook_path, "notebookId": run_id}
        same |= {"browserHostName": host, "taskKey": document.task_key}
        tags = {**same, "orgId": "0", "user": document.user, "runId": run_id, "multitaskParentRunId": run_id}
        extra = {
            "notebook_path": document.notebook_path,
            "api_url": document.api_url,
            "api_token": document.api_token,
        }
        self._tags = {name: value for name, value in {**tags, "jobId": job_id}.items() if value}
        self._extra = {name: value for name, value in extra.items() if value}
        self._options: dict[str, Any] = {
            **{name: value or None for name, value in same.items()},
            "userName": document.user,
            "apiUrl": document.api_url or None,
            "apiToken": document.api_token or None,
            "workspaceId": "0",
            "jobId": job_id,
            **dict.fromkeys(("jobRunId", "taskRunId", "idInJob", "jobGroup"), run_id),
            **dict.fromkeys(("currentRunId", "rootRunId"), RunId(document.run_id)),
        }

    def tags(self) -> Tags:
        return Tags(self._tags)

    def extraContext(self) -> Tags:
        return Tags(self._extra)

    def toJson(self) -> str:
        ids = {"rootRunId": self._run, "currentRunId": self._run, "jobGroup": ""}
        return json.dumps({**ids, "tags": self._tags, "extraContext": self._extra})

    safeToJson = toJson

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._options:
            raise AttributeError(f"the notebook context has no {name} here; it has: {', '.join(sorted(self._options))}")
        return lambda: Option(self._options[name])


class EntryPoint:
    """dbutils.notebook.entry_point."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def getDbutils(self) -> EntryPoint:
        return self

    def notebook(self) -> EntryPoint:
        return self

    def getContext(self) -> Context:
        return self._context


class ReplContext:
    """dbruntime.databricks_repl_context.get_context()."""

    def __init__(self, document: Document) -> None:
        self.apiUrl = document.api_url
        self.workspaceUrl = self.browserHostName = document.api_url.partition("://")[2]
        self.apiToken = document.api_token
        self.clusterId = document.cluster_id
        self.user = document.user
        self.notebookPath = document.notebook_path
        self.notebookId = self.currentRunId = self.rootRunId = self.taskRunId = str(document.run_id)
        self.jobId = None if document.job_id is None else str(document.job_id)
        self.workspaceId = "0"
        self.isInJob = self.isInNotebook = self.isInCluster = True
        self.isDbConnect = False
