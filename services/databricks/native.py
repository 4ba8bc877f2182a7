"""The Databricks workspace without Docker: the REST API, and notebook processes in the spark environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import requests

from foundation import loopback, loops
from foundation.environment import read
from foundation.errors import NotReady, ProfileError, brief
from foundation.packages import python
from foundation.profile import Profile
from foundation.service import Command, Service
from services.databricks.workspace.settings import CONTROL_TOKEN, SECRETS, TOKEN
from services.spark.native import control_url


def port(profile: Profile) -> int:
    """The port of databricks.host; raises ProfileError if that is not on this machine."""
    url = urlsplit(profile.databricks.host)
    if url.hostname not in loopback.SERVED:
        raise ProfileError(
            f"{profile.path}: databricks.host: {profile.databricks.host} is not on this machine",
            "write http://127.0.0.1:8180 (or another port), or leave databricks out of stack.services",
        )
    return url.port or 80


def command(profile: Profile) -> Command:
    """The workspace with the settings of databricks.env; tokens and secrets are in its environment only."""
    databricks, settings = profile.databricks, read("databricks")
    arguments = ["--home", str(profile.home / "databricks"), "--url", databricks.host, "--listen", "127.0.0.1"]
    arguments += ["--cluster-id", databricks.cluster_id, "--remote", profile.spark.remote]
    arguments += ["--control-url", control_url(profile), "--user", settings["WORKSPACE_USER"]]
    arguments += ["--max-processes", settings["WORKSPACE_MAX_PROCESSES"]]
    scopes = {
        scope: {key: value.get_secret_value() for key, value in secrets.items()}
        for scope, secrets in databricks.secrets.items()
    }
    token = databricks.token.get_secret_value()
    notebook = [str(python("spark")), "-m", "services.databricks.notebook"]
    return Command(
        [str(python("tool")), "-m", "services.databricks.workspace", *arguments, "--", *notebook],
        {TOKEN: token, CONTROL_TOKEN: token, SECRETS: json.dumps(scopes)},
    )


def probe(profile: Profile) -> None:
    """Ready: the API takes the profile's token and answers with a list of runs, and none of its loops fails."""
    url = f"{profile.databricks.host}/api/2.1/jobs/runs/list"
    token = profile.databricks.token.get_secret_value()
    try:
        answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, params={"limit": 1}, timeout=5)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise NotReady(f"{url}: {brief(error)}") from None
    loops.check(profile, "databricks", profile.databricks.host)


def initialise(profile: Profile, say: Callable[[str], None]) -> None:
    """Put our notebooks into the workspace, so that a person finds them there, and Airflow too."""
    # Here, because Databricks' client takes two seconds to import, which every other command would pay.
    from foundation.databricks import Workspace

    Workspace(profile).sync_notebooks(say)


SERVICE = Service(
    name="databricks",
    title="Databricks workspace: Jobs, Workspace, DBFS and Clusters API (stand-in)",
    ports=lambda profile: [port(profile)],
    command=command,
    probe=probe,
    memory=0.7,
    initialise=initialise,
    stand_in=True,
)
