"""Airflow without Docker, as MWAA runs it: start.py in the environment of the profile's version, on 127.0.0.1."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from foundation import environment, loopback, loops, packages
from foundation.aws import client
from foundation.errors import NotReady, PinflowError, PreflightError, ProfileError, brief
from foundation.mwaa import Mwaa, variables
from foundation.paths import shown
from foundation.profile import Profile
from foundation.service import Command, Service
from services.airflow.requirements import differences

HERE = Path(__file__).resolve().parent


def home(profile: Profile) -> Path:
    """The directory of the profile's version: the metadata database, logs, the DAGs of the bucket."""
    return profile.home / "airflow" / profile.airflow.version


def command(profile: Profile) -> Command:
    """start.py with the variables of airflow.env and this machine's addresses; tokens are in its environment only."""
    values = {f"AIRFLOW_VAR_{name.upper()}": value for name, value in variables(profile).items()}
    return Command(
        [str(packages.python(_environment(profile))), str(HERE / "start.py")],
        environment.read("airflow") | _addresses(profile) | _connections(profile) | values,
        home(profile),
    )


def prepare(profile: Profile) -> None:
    """Raise PreflightError where the chosen version is not installed, or cannot work in this directory."""
    if "%" in str(home(profile)):
        raise PreflightError(
            f"Airflow cannot work in {home(profile)}: it reads the `%` in the path as a reference to another setting",
            "choose another folder (stack.directory in the profile), or remove airflow from stack.services",
        )
    if not packages.python(_environment(profile)).is_file():
        raise PreflightError(
            f"Airflow {profile.airflow.version} ({profile.path}: airflow.version) is not installed",
            f"make install PROFILE={shown(profile.path)}",
        )


def probe(profile: Profile) -> None:
    """Ready: scheduler and DAG processor are healthy, the DAG of the bucket is parsed, no program and no loop fails."""
    # As if signed: no web page can send that header.
    signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={_keys(profile)['AWS_ACCESS_KEY_ID']}/"}
    loops.check(profile, "airflow", profile.airflow.endpoint_url or "", signed)
    mwaa = Mwaa(profile, patient=False)
    try:
        unhealthy = [f"Airflow's {part} is {state}" for part, state in mwaa.health().items() if state != "healthy"]
        missing = [] if unhealthy else mwaa.missing_dags()
    except PinflowError as error:
        raise NotReady(error.what) from None
    if unhealthy:
        raise NotReady(unhealthy[0])
    if missing:
        errors = mwaa.import_errors()
        raise NotReady(f"Airflow has not parsed the DAG {missing[0]} yet" + "".join(f"\n{e}" for e in errors))


def remark(profile: Profile) -> str:
    """Import errors, each with what to change, and a DAG that has the batch DAG's name and is not pinflow's."""
    mwaa = Mwaa(profile, patient=False)
    try:
        return "\n".join(line for line in (mwaa.own_dag(), *mwaa.import_errors()) if line)
    except PinflowError as error:
        return error.what


def initialise(profile: Profile, say: Callable[[str], None]) -> None:
    """Report which requirements of the bucket's requirements.txt are not installed here."""
    bucket = profile.storage.dag_bucket
    try:
        answer = client(profile, "s3").get_object(Bucket=bucket, Key="requirements.txt")
        text = answer["Body"].read().decode()
    except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
        say(f"s3://{bucket}/requirements.txt: {brief(error)}")
        return
    lock = f"requirements/{_environment(profile)}"
    for difference in differences(text, packages.python(_environment(profile)).parent.parent):
        say(f"s3://{bucket}/requirements.txt, {difference}: add it to {lock}.in, then make lock install")


def _environment(profile: Profile) -> str:
    return f"airflow-{profile.airflow.version}"


def _port(profile: Profile, key: str, url: str | None) -> int:
    split = urlsplit(url or "")
    if split.hostname not in loopback.SERVED or split.port is None:
        raise ProfileError(
            f"{profile.path}: airflow.{key}: {url} is not an address of this machine",
            "write one as in profiles/local.yaml, or remove airflow from stack.services",
        )
    return split.port


def _ports(profile: Profile) -> list[int]:
    return [_port(profile, "url", profile.airflow.url), _port(profile, "endpoint_url", profile.airflow.endpoint_url)]


def _addresses(profile: Profile) -> dict[str, str]:
    """What differs from Compose: ports, paths, names of the profile. Each version reads its own section of these."""
    airflow, directory, (port, mwaa_port) = profile.airflow, home(profile), _ports(profile)
    old = airflow.version.startswith("2")
    addresses = {
        # Airflow 2's executor and a BashOperator start `airflow` by its name.
        "PATH": f"{packages.python(_environment(profile)).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(directory),
        "AIRFLOW_VERSION": airflow.version,
        # Airflow's process titles would otherwise overwrite the environment by which start.py finds its processes.
        "SPT_NOENV": "1",
        "PYTHONPATH": str(HERE / "config"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": airflow.url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow.url}/execution/",
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
        "AIRFLOW__WEBSERVER__BASE_URL": airflow.url,
        "AIRFLOW__WEBSERVER__CONFIG_FILE": str(HERE / "config" / "webserver_config.py"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(directory / "dags"),
        "MWAA_AIRFLOW_URL": airflow.url,
        "MWAA_AIRFLOW_API": f"{airflow.url}/api/v{1 if old else 2}",
        "MWAA_BUCKET": profile.storage.dag_bucket,
        "MWAA_ENVIRONMENT": airflow.environment,
        "MWAA_LISTEN": f"127.0.0.1:{mwaa_port}",
        "MWAA_S3_ENDPOINT_URL": profile.aws.endpoint_url or "",
    }
    # 2.11 refuses to run tasks side by side on SQLite.
    return addresses | ({"AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"} if old else {})


def _keys(profile: Profile) -> dict[str, str]:
    """boto3's own variables."""
    key, secret = profile.aws.access_key_id, profile.aws.secret_access_key
    return {
        "AWS_ACCESS_KEY_ID": key.get_secret_value() if key else "test",
        "AWS_SECRET_ACCESS_KEY": secret.get_secret_value() if secret else "test",
        "AWS_DEFAULT_REGION": profile.aws.region,
    }


def _connections(profile: Profile) -> dict[str, str]:
    """`aws_default` and `databricks_default`, and the keys for them."""
    aws, host = profile.aws, urlsplit(profile.databricks.host)
    connection = json.loads(environment.read("airflow")["AIRFLOW_CONN_AWS_DEFAULT"])
    connection["extra"] |= {"endpoint_url": aws.endpoint_url, "region_name": aws.region}
    workspace = {
        "conn_type": "databricks",
        "schema": host.scheme,
        "host": host.hostname,
        "port": host.port,
        "password": profile.databricks.token.get_secret_value(),
    }
    return _keys(profile) | {
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "AIRFLOW_CONN_DATABRICKS_DEFAULT": json.dumps(workspace),
    }


SERVICE = Service(
    name="airflow",
    title="Apache Airflow (as MWAA)",
    ports=_ports,
    command=command,
    probe=probe,
    memory=0.8,
    prepare=prepare,
    initialise=initialise,
    # The image brings its own packages.
    initialise_in_compose=lambda profile, say: None,
    remark=remark,
)
