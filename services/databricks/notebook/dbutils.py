"""dbutils, as a notebook knows it.

https://docs.databricks.com/dev-tools/databricks-utils.html
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .api import Api, Control
from .child import Children
from .context import Context, EntryPoint
from .document import Document
from .events import Events
from .filesystem import FileSystem
from .java_errors import SecretNotFound
from .shell import NotebookExit
from .widgets import Widgets
from .workspace import Workspace

MODULES = ("fs", "notebook", "widgets", "secrets", "library", "jobs", "data", "credentials")


class SecretMetadata(NamedTuple):
    """One entry of dbutils.secrets.list."""

    key: str


class SecretScope(NamedTuple):
    """One entry of dbutils.secrets.listScopes."""

    name: str

    def getName(self) -> str:
        return self.name


class Secrets:
    """dbutils.secrets: the scopes of the profile, which are fixed during a run, and those made through the API."""

    def __init__(self, of_profile: Mapping[str, Mapping[str, str]], api: Api, redact: Callable[[str], None]) -> None:
        self._of_profile, self._api, self._redact = of_profile, api, redact

    def get(self, scope: str, key: str) -> str:
        """Gets the string representation of a secret value with scope and key"""
        return self.getBytes(scope, key).decode("utf-8", "replace")

    def getBytes(self, scope: str, key: str) -> bytes:
        """Gets the bytes representation of a secret value with scope and key"""
        value = self._value(scope, key)
        if value is None:
            raise SecretNotFound(f"Secret does not exist with scope: {scope} and key: {key}")
        self._redact(value.decode("utf-8", "replace"))
        return value

    def listScopes(self) -> list[SecretScope]:
        """Lists secret scopes"""
        made = (self._api.get("secrets/scopes/list") or {}).get("scopes", [])
        return [SecretScope(name) for name in dict.fromkeys([*self._of_profile, *(scope["name"] for scope in made)])]

    def list(self, scope: str) -> Sequence[SecretMetadata]:
        """Lists secret metadata for secrets within a scope"""
        if scope in self._of_profile:
            return [SecretMetadata(key) for key in self._of_profile[scope]]
        listed = self._api.get("secrets/list", scope=scope)
        if listed is None:
            raise SecretNotFound(f"Secret does not exist with scope: {scope}: scope does not exist")
        return [SecretMetadata(secret["key"]) for secret in listed.get("secrets", [])]

    def _value(self, scope: str, key: str) -> bytes | None:
        # Names are case-insensitive, as in the API.
        for name, secrets in self._of_profile.items():
            if name.lower() == scope.lower():
                return next((secret.encode() for each, secret in secrets.items() if each.lower() == key.lower()), None)
        found = self._api.get("secrets/get", scope=scope, key=key)
        return None if found is None else base64.b64decode(found["value"])


class NotebookUtils:
    """dbutils.notebook."""

    def __init__(self, document: Document, children: Children) -> None:
        self.entry_point = EntryPoint(Context(document))
        self._children = children

    def exit(self, value: Any = "") -> None:
        """This method lets you exit a notebook with a value"""
        raise NotebookExit(str(value))

    def run(
        self, path: str, timeout_seconds: float = 0, arguments: Mapping[str, Any] | None = None, **_: Any
    ) -> str | None:
        """This method runs a notebook and returns its exit value"""
        return self._children.run(path, timeout_seconds, dict(arguments or {}))

    def getContext(self) -> Context:
        """The context of this run"""
        return self.entry_point.getContext()


class TaskValues:
    """dbutils.jobs.taskValues."""

    def __init__(self, document: Document, events: Events) -> None:
        self._known, self._events = document.task_values, events

    def set(self, key: str, value: Any) -> None:
        """Sets or updates a task value"""
        self._events.emit("task_value", key=key, value=value)

    def get(self, taskKey: str, key: str, default: Any = None, debugValue: Any = None) -> Any:
        """Returns the latest task value that belongs to the current job run"""
        values = self._known.get(taskKey, {})
        if key in values:
            return values[key]
        for fallback in (default, debugValue):
            if fallback is not None:
                return fallback
        raise ValueError(
            f"Task {taskKey} did not set the value {key} in this job run; pass a default or a debugValue to get()"
        )


class Jobs:
    """dbutils.jobs."""

    def __init__(self, taskValues: TaskValues) -> None:
        self.taskValues = taskValues


class Library:
    """dbutils.library."""

    def restartPython(self) -> None:
        """Restarts python process for the current notebook session: not needed here, names stay as they are"""

    def installPyPI(self, *_: Any, **__: Any) -> None:
        """Removed from Databricks Runtime 11: use %pip"""
        raise NotImplementedError(
            "dbutils.library.installPyPI was removed in Databricks Runtime 11.0. Use %pip install"
        )


class Data:
    """dbutils.data."""

    def __init__(self, display: Callable[[Any], None]) -> None:
        self._display = display

    def summarize(self, df: Any, precise: bool = False) -> None:
        """Summarize a Spark/pandas DataFrame"""
        self._display(df.summary() if hasattr(df, "sparkSession") else df.describe(include="all").reset_index())


class Credentials:
    """dbutils.credentials."""

    def showCurrentRole(self) -> list[str]:
        """Shows the currently set IAM role"""
        return []

    def showRoles(self) -> list[str]:
        """Shows the set of possible assumed IAM roles"""
        return []

    def assumeRole(self, role: str) -> bool:
        """Sets the role ARN to assume: S3 has one pair of keys here"""
        return True


class DBUtils:
    """dbutils. `DBUtils(spark)` returns the notebook's own one."""

    def __init__(
        self, document: Document, events: Events, workspace: Workspace, display: Callable[[Any], None]
    ) -> None:
        self.children = Children(document, events, workspace)
        self.fs = FileSystem(Control(document))
        self.widgets = Widgets(document.parameters)
        self.secrets = Secrets(document.secrets, Api(document), events.redact)
        self.notebook = NotebookUtils(document, self.children)
        self.jobs = Jobs(TaskValues(document, events))
        self.library = Library()
        self.data = Data(display)
        self.credentials = Credentials()
        for name in MODULES:
            module = getattr(self, name)
            module.help = _help(f"dbutils.{name}", module)

    def help(self, name: str = "") -> None:
        """Lists the modules"""
        print(f"{', '.join(MODULES)}: dbutils.<name>.help() says more")


def _help(title: str, module: Any) -> Callable[..., None]:
    def help(name: str = "") -> None:
        for method, function in inspect.getmembers(module, inspect.ismethod):
            if not method.startswith("_") and name in ("", method):
                lines = (inspect.getdoc(function) or "").split("\n")
                print(f"{title}.{method}{inspect.signature(function)}: {' '.join(lines)}")

    return help
