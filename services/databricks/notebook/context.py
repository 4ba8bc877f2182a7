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

    def get(self, name: str) -> Option:
        return Option(self._values.get(name))

    def apply(self, name: str) -> str:
        return self._values[name]

    def contains(self, name: str) -> bool:
        return name in self._values

    def getOrElse(self, name: str, default: Any) -> Any:
        return self._values.get(name, default)

    def __str__(self) -> str:
        return json.dumps(self._values)


@dataclass(frozen=True)
class RunId:
    """Has `id()`, and in text the form that notebooks take apart."""

    number: int

    def id(self) -> int:
        return self.number

    def __str__(self) -> str:
        return f"RunId({self.number})"


class Context:
    """Calls of the notebook context that are known here; another one is an AttributeError that names it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        host = document.api_url.partition("://")[2]
        tags = {
            "clusterId": document.cluster_id,
            "orgId": "0",
            "user": document.user,
            "browserHostName": host,
            "notebookPath": document.notebook_path,
            "notebookId": str(document.run_id),
            "runId": str(document.run_id),
            "multitaskParentRunId": str(document.run_id),
            "taskKey": document.task_key,
        }
        if document.job_id is not None:
            tags["jobId"] = str(document.job_id)
        self._tags = {name: value for name, value in tags.items() if value}
        job = None if document.job_id is None else str(document.job_id)
        self._options: dict[str, Any] = {
            "notebookPath": document.notebook_path,
            "notebookId": str(document.run_id),
            "userName": document.user,
            "clusterId": document.cluster_id,
            "apiUrl": document.api_url or None,
            "apiToken": document.api_token or None,
            "browserHostName": host or None,
            "workspaceId": "0",
            "jobId": job,
            "jobRunId": str(document.run_id),
            "taskRunId": str(document.run_id),
            "idInJob": str(document.run_id),
            "jobGroup": str(document.run_id),
            "taskKey": document.task_key or None,
            "currentRunId": RunId(document.run_id),
            "rootRunId": RunId(document.run_id),
        }

    def tags(self) -> Tags:
        return Tags(self._tags)

    def extraContext(self) -> Tags:
        return Tags(self._extra())

    def toJson(self) -> str:
        run = {"id": self._document.run_id}
        return json.dumps(
            {"rootRunId": run, "currentRunId": run, "jobGroup": "", "tags": self._tags, "extraContext": self._extra()}
        )

    safeToJson = toJson

    def _extra(self) -> dict[str, str]:
        extra = {
            "notebook_path": self._document.notebook_path,
            "api_url": self._document.api_url,
            "api_token": self._document.api_token,
        }
        return {name: value for name, value in extra.items() if value}

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
        self.notebookId = str(document.run_id)
        self.currentRunId = self.rootRunId = self.taskRunId = str(document.run_id)
        self.jobId = None if document.job_id is None else str(document.job_id)
        self.workspaceId = "0"
        self.isInJob = self.isInNotebook = True
        self.isInCluster = True
        self.isDbConnect = False
