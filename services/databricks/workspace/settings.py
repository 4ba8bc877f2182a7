"""What the workspace is told at its start: addresses from the arguments, secrets from the environment."""

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
    """Everything the workspace can be told.

    home              the directory of its state: database, notebooks, outputs of runs
    url               where people and clients reach it; links to run pages begin with it
    listen            the address it binds; its port is that of ``url``
    token             the bearer token that every API call carries
    user              the name of the one user
    cluster_id        the id of the one cluster
    remote            the cluster's Spark Connect server, `sc://host:port`
    control_url       the cluster's control endpoint, which DBFS calls go to
    control_token     its bearer token
    secrets           the profile's secret scopes: scope → key → value; the API can make others, not change these
    notebook_command  what starts one notebook process, which then waits for its run on stdin
    max_processes     notebook processes at a time; further task runs wait, first come first served
    any_cluster       run tasks that name another cluster on this one, as a workspace that has it would
    keep_runs         finished runs kept, the newest; older ones go with their outputs
    keep_days         days that a finished run is kept (Databricks: 60)
    """

    model_config = ConfigDict(frozen=True)

    home: Path
    url: str
    listen: str = "127.0.0.1"
    token: SecretStr
    user: str = "local@pinflow"
    cluster_id: str
    remote: str
    control_url: str
    control_token: SecretStr
    secrets: dict[str, dict[str, SecretStr]] = Field(default_factory=dict)
    notebook_command: tuple[str, ...] = Field(min_length=1)
    max_processes: int = Field(default=8, ge=1)
    any_cluster: bool = True
    keep_runs: int = Field(default=1000, ge=1)
    keep_days: int = Field(default=60, ge=1)

    @property
    def port(self) -> int:
        """The port of ``url``."""
        return urlsplit(self.url).port or 80


_scopes = TypeAdapter(dict[str, dict[str, SecretStr]])


def from_arguments(arguments: Sequence[str], environment: MutableMapping[str, str]) -> Settings:
    """Settings from the command line and the environment; its secrets are taken out of the environment.

    So that no process started later inherits them. Raises SystemExit (argparse) and pydantic's ValidationError.
    """
    parser = argparse.ArgumentParser(prog="python -m services.databricks.workspace", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--user", default="local@pinflow")
    parser.add_argument("--cluster-id", required=True)
    parser.add_argument("--remote", required=True)
    parser.add_argument("--control-url", required=True)
    parser.add_argument("--max-processes", type=int, default=8)
    parser.add_argument("--keep-runs", type=int, default=1000)
    parser.add_argument("--keep-days", type=int, default=60)
    parser.add_argument("--only-own-cluster", dest="any_cluster", action="store_false")
    parser.add_argument("notebook_command", nargs="+", metavar="COMMAND", help="after `--`: starts a notebook process")
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
