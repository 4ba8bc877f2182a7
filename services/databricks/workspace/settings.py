"""The settings of the workspace: addresses from the arguments, secrets from the environment."""

from __future__ import annotations

import argparse
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter

TOKEN = "PINFLOW_WORKSPACE_TOKEN"
CONTROL_TOKEN = "PINFLOW_WORKSPACE_CONTROL_TOKEN"
SECRETS = "PINFLOW_WORKSPACE_SECRETS"


class Settings(BaseModel):
    """The settings of the workspace. Each field but the secrets is an argument of the command line."""

    model_config = ConfigDict(frozen=True)

    home: Path = Field(description="directory of its state: database, notebooks, outputs of runs")
    url: str = Field(description="address for people and clients; links to run pages start with it")
    listen: str = Field(default="127.0.0.1", description="address to bind; the port is that of the URL")
    user: str = Field(default="local@pinflow", description="name of the one user")
    cluster_id: str = Field(description="id of the one cluster")
    remote: str = Field(description="the cluster's Spark Connect server, sc://host:port")
    control_url: str = Field(description="the cluster's control endpoint, which carries out DBFS calls")
    max_processes: int = Field(default=8, ge=1, description="notebook processes at a time; further task runs wait")
    keep_runs: int = Field(default=1000, ge=1, description="finished runs to keep, with their outputs")
    keep_days: int = Field(default=60, ge=1, description="days to keep a finished run (Databricks: 60)")
    only_own_cluster: bool = Field(
        default=False, description="fail tasks that name another cluster, as Databricks does"
    )
    notebook_command: tuple[str, ...] = Field(min_length=1, description="after `--`: starts a notebook process")
    token: SecretStr
    control_token: SecretStr
    # scope → key → value of the profile; the API can make other scopes, but not change these
    secrets: dict[str, dict[str, SecretStr]] = Field(default_factory=dict)

    @property
    def port(self) -> int:
        """The port of ``url``."""
        return urlsplit(self.url).port or 80


_scopes = TypeAdapter(dict[str, dict[str, SecretStr]])


def from_arguments(arguments: Sequence[str], environment: MutableMapping[str, str]) -> Settings:
    """Settings from the command line and the environment.

    The secrets are removed from the environment, so that no process started later inherits them. Raises SystemExit
    (argparse) and pydantic's ValidationError.
    """
    parser = argparse.ArgumentParser(prog="python -m services.databricks.workspace", description=__doc__)
    for name, field in Settings.model_fields.items():
        if name == "notebook_command":
            parser.add_argument(name, nargs="+", metavar="COMMAND", help=field.description)
        elif name == "only_own_cluster":
            parser.add_argument("--only-own-cluster", action="store_true", help=field.description)
        elif name not in ("token", "control_token", "secrets"):
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(
                option,
                type=int if field.annotation is int else str,
                required=field.is_required(),
                default=argparse.SUPPRESS,
                help=field.description,
            )
    values = vars(parser.parse_args(arguments))
    missing = [name for name in (TOKEN, CONTROL_TOKEN) if not environment.get(name)]
    if missing:
        parser.error(f"the environment variable {missing[0]} is not set")
    return Settings(
        **values,
        token=SecretStr(environment.pop(TOKEN)),
        control_token=SecretStr(environment.pop(CONTROL_TOKEN)),
        secrets=_scopes.validate_json(environment.pop(SECRETS, "") or "{}"),
    )
