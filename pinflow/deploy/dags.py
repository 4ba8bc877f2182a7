"""Deploys airflow/ to the DAG bucket, after a test import, and the Airflow Variables that the DAGs read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from foundation import packages
from foundation.dag_bucket import FOLDER
from foundation.databricks import Workspace
from foundation.errors import PinflowError
from foundation.mwaa import AirflowError, Mwaa, explained, variables
from foundation.profile import ROOT, Profile
from foundation.service import Say
from pinflow import airflow, install
from pinflow.deploy.difference import Difference
from pinflow.stack import runtime
from pinflow.stack.native import NativeStack

REQUIREMENTS = "requirements.txt"
_READ = Path(__file__).with_name("read_dags.py")
_LONGEST = 300  # seconds for Airflow to make its database and to read the folder


class Dags:
    """DAGs and requirements."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def differences(self) -> list[Difference]:
        """Files of airflow/ that the bucket lacks or has with another content. Raises PinflowError on import errors."""
        if self.profile.stack is None or isinstance(runtime.current(self.profile), NativeStack):
            check_imports(self.profile)  # in containers Airflow reports them after the upload
        bucket = self.profile.storage.dag_bucket
        return [
            Difference(f"s3://{bucket}/{key}", before, file.read_text(encoding="utf-8", errors="replace"))
            for key, (file, before) in airflow.changed(self.profile).items()
        ]

    def apply(self, say: Say) -> None:
        """Upload them and wait until Airflow has read them."""
        requirements_too = REQUIREMENTS in airflow.changed(self.profile)
        airflow.deploy(self.profile, say)
        if requirements_too:
            name = self.profile.airflow.environment
            say(
                f"{REQUIREMENTS} changed: update the environment to install it, which takes about half an hour: "
                f"MWAA's console, {name}, Edit, the newest version of {REQUIREMENTS}"
            )


class Variables:
    """The Airflow Variables that airflow/dags reads and the profile provides."""

    def __init__(self, profile: Profile) -> None:
        self.profile, self.mwaa = profile, Mwaa(profile)

    def differences(self) -> list[Difference]:
        """Variables that are missing in Airflow or have another value."""
        found = {name: self._value(name) for name in self._wanted()}
        return [
            Difference(f"Airflow Variable {name}", found[name], wanted)
            for name, wanted in self._wanted().items()
            if found[name] != wanted
        ]

    def apply(self, say: Say) -> None:
        """Set those that differ."""
        for name, value in self._wanted().items():
            before = self._value(name)
            if before == value:
                continue
            method, path = ("POST", "/variables") if before is None else ("PATCH", f"/variables/{name}")
            self.mwaa.call(method, path, {"key": name, "value": value})
            say(f"Airflow Variable {name}: {value}")

    def _wanted(self) -> dict[str, str]:
        return variables(self.profile) | {"pinterest_notebooks": Workspace(self.profile).notebooks_folder}

    def _value(self, name: str) -> str | None:
        try:
            return str(self.mwaa.call("GET", f"/variables/{name}")["value"])
        except AirflowError as error:
            if error.status == 404:
                return None
            raise


def check_imports(profile: Profile, folder: Path = FOLDER / "dags") -> list[str]:
    """The ids of the DAGs that the profile's version of Airflow finds in a folder; installs that version if necessary.

    Raises PinflowError with the text of every import error.
    """
    version = profile.airflow.version
    install.main(["airflow"], str(profile.path))
    python = packages.python(f"airflow-{version}")
    home = ROOT / ".pinflow" / "dag-check" / version
    home.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {f"AIRFLOW_VAR_{name.upper()}": value for name, value in variables(profile).items()}
    environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [str(python), "-W", "ignore", str(_READ), str(folder)]
    pipe = subprocess.PIPE
    # Its own session, so that a child (airflow db migrate) is stopped too and keeps no pipe open.
    with subprocess.Popen(
        command, env=environment, cwd=home, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as reader:
        try:
            out, err = reader.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            raise PinflowError(
                f"Airflow {version} did not read {folder} within {_LONGEST} s",
                "look for a DAG file that waits or calls a server while it is imported; nothing was deployed",
            ) from None
        finally:
            if reader.poll() is None:
                os.killpg(reader.pid, signal.SIGKILL)
    if reader.returncode:
        last = (err.strip().splitlines() or ["no reason given"])[-1]
        raise PinflowError(f"Airflow {version} cannot read {folder}: {last}", f"delete {home} and try again")
    found = json.loads(out.splitlines()[-1])
    if found["errors"]:
        errors = "\n".join(f"{name}: {explained(text.strip())}" for name, text in found["errors"].items())
        raise PinflowError(f"Airflow {version} cannot import:\n{errors}", "correct the file; nothing was deployed")
    return list(found["dags"])
