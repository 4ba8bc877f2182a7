"""What a run is started with: one JSON document, one line, on standard input."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Document:
    """One notebook run.

    run_id          the task run's id
    notebook_path   where the notebook is in the workspace: /Users/x/nb
    workspace_root  the directory with the workspace's files
    parameters      widget values from the job
    remote          Spark Connect URL of the cluster: sc://host:port
    control_url     the cluster's control endpoint, which does dbutils.fs; control_token is its bearer token
    output          the directory for events.jsonl and the figures
    secrets         {scope: {key: value}} of the profile; the workspace is asked for those that its API made
    api_url, api_token   the workspace's REST API, for notebooks that call it
    task_values     {task key: {key: value}} of the tasks that this one depends on
    session_id      the id of its Spark session, by which the workspace can end the session if this process dies
    """

    run_id: int
    notebook_path: str
    workspace_root: Path
    remote: str
    cluster_id: str
    control_url: str
    output: Path
    parameters: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    control_token: str = field(default="", repr=False)
    user: str = "local@pinflow"
    api_url: str = ""
    api_token: str = field(default="", repr=False)
    job_id: int | None = None
    task_key: str = ""
    task_values: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    session_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @classmethod
    def parse(cls, line: str | bytes) -> Document:
        """Read the document; unknown keys are ignored. Raises ValueError, KeyError."""
        given = json.loads(line)
        known = {each.name: given[each.name] for each in fields(cls) if each.name in given}
        paths = {name: Path(given[name]).resolve() for name in ("workspace_root", "output")}
        parameters = {str(name): str(value) for name, value in (given.get("parameters") or {}).items()}
        return cls(**{**known, **paths, "parameters": parameters})

    def child(self, notebook_path: str, parameters: dict[str, str], output: Path) -> Document:
        """The document of a run that this notebook starts with dbutils.notebook.run."""
        session = str(uuid.uuid4())
        return replace(self, notebook_path=notebook_path, parameters=parameters, output=output, session_id=session)

    def to_json(self) -> str:
        """One line, as `parse` reads it."""
        return json.dumps(asdict(self), default=str)
