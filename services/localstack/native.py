"""LocalStack without Docker: how it is started, and when it can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError

from foundation import environment, loops, packages, versions
from foundation.aws import client
from foundation.errors import NotReady, PinflowError, PreflightError, brief
from foundation.profile import ROOT, Profile
from foundation.service import Command, Service
from services.localstack import cloudformation, install

HERE = Path(__file__).resolve().parent
HOOK = "make_resources.py"
TEMPLATE = ROOT / "localstack" / "template.yaml"


class DeployError(PinflowError):
    """The stack could not be created or changed; names the resource and the service's reason."""


def _endpoint(profile: Profile) -> str:
    if profile.aws.endpoint_url is None:
        raise PreflightError(
            f"{profile.path}: aws.endpoint_url is null, so there is no LocalStack to start",
            "remove localstack from stack.services, or set aws.endpoint_url as in profiles/local.yaml",
        )
    return profile.aws.endpoint_url


def _ports(profile: Profile) -> list[int]:
    return [urlsplit(_endpoint(profile)).port or 4566]


def _command(profile: Profile) -> Command:
    home = profile.home / "localstack"
    keys = (profile.aws.access_key_id, profile.aws.secret_access_key)
    key, secret = (key.get_secret_value() if key else "test" for key in keys)
    addresses = {
        "GATEWAY_LISTEN": f"127.0.0.1:{_ports(profile)[0]}",
        "DNS_ADDRESS": "0",
        "OVERRIDE_IN_DOCKER": "0",
        # Everything that it and its libraries write: state, and caches that would go to the user's home.
        "FILESYSTEM_ROOT": str(home),
        "CONFIG_DIR": str(home / "config"),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
    # For ready.d/make_resources.py; in Compose the same variables come from docker-compose.yml.
    resources = {
        "PINFLOW_DIRECTORY": str(ROOT),
        "PINFLOW_ENDPOINT_URL": _endpoint(profile),
        "PINFLOW_UID": profile.uid,
        "PINFLOW_BUCKET": profile.storage.bucket,
        "PINFLOW_DAG_BUCKET": profile.storage.dag_bucket,
        "PINFLOW_SHARDS": str(profile.kinesis.shards or 0),
        "PINFLOW_REST_PROXY_URL": profile.rest_proxy.url,
        "PINFLOW_CONNECT_URL": profile.connect.url,
        "PINFLOW_CONNECTOR": profile.connect.connector,
        "AWS_DEFAULT_REGION": profile.aws.region,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    return Command(
        # -I: neither this folder nor PYTHONPATH is searched. The repository's localstack/ would become a part of
        # the installed package of that name.
        arguments=[str(packages.python("localstack")), "-I", "-W", "ignore", str(HERE / "start.py")],
        environment=environment.read("localstack") | addresses | resources,
        directory=home,
    )


def _prepare(profile: Profile) -> None:
    python = packages.python("localstack")
    installed = install.kinesis(python.parent.parent)
    if not install.is_current(installed):
        raise PreflightError(
            f"LocalStack's Kinesis is missing from {installed}, or is another version",
            f"run `make install` (or {python} {HERE / 'install.py'})",
        )


def _probe(profile: Profile) -> None:
    """Ready: the template is deployed since LocalStack's start, Kinesis answers, and none of our loops fails there."""
    url = f"{_endpoint(profile)}/_localstack/init"
    try:
        hooks = requests.get(url, timeout=2).json()
    except (requests.RequestException, ValueError) as error:
        raise NotReady(f"{url}: {brief(error)}") from None
    state = {script["name"]: script["state"] for script in hooks["scripts"]}
    failed = [name for name, last in state.items() if last == "ERROR"]
    if failed:
        raise NotReady(f"LocalStack's hooks {', '.join(failed)} failed; see its log")
    if not hooks["completed"]["READY"] or state.get(HOOK) != "SUCCESSFUL":
        raise NotReady(f"{TEMPLATE.relative_to(ROOT)} is not deployed yet ({HOOK}: {state.get(HOOK)})")
    try:
        client(profile, "kinesis").describe_stream_summary(StreamName=f"streaming-{profile.uid}-pin")
    except (BotoCoreError, ClientError) as error:
        raise NotReady(f"Kinesis: {brief(error)}") from None
    loops.check(profile, "localstack", _endpoint(profile))


def deploy(profile: Profile, say: Callable[[str], None]) -> dict[str, str]:
    """Check that LocalStack runs what the template says, and return the stack's outputs; repeatable.

    LocalStack itself deploys the template at each start (ready.d), so this creates nothing where that went well; on AWS
    it is pinflow/cloudformation/stack.py. Raises DeployError.
    """
    template, where = TEMPLATE.relative_to(ROOT), profile.aws.endpoint_url
    say(f"stack pinflow-{profile.uid} on {where}: {template}")
    parameters = {
        "UserId": profile.uid,
        "BucketName": profile.storage.bucket,
        "DagBucketName": profile.storage.dag_bucket,
        "ShardCount": str(profile.kinesis.shards or 0),
        "RestProxyUrl": profile.rest_proxy.url,
    }
    try:
        return cloudformation.deploy(lambda service: client(profile, service), TEMPLATE, parameters)
    except (cloudformation.StackFailed, ClientError, BotoCoreError) as error:
        fix = "restart LocalStack: it deploys the template as it starts (`make down up`)"
        raise DeployError(f"{template} on {where}: {error}", fix) from None


def _initialise(profile: Profile, say: Callable[[str], None]) -> None:
    deploy(profile, say)


SERVICE = Service(
    name="localstack",
    title=f"LocalStack {versions.LOCALSTACK.native}: S3, Kinesis, API Gateway, IAM, CloudFormation",
    ports=_ports,
    command=_command,
    probe=_probe,
    memory=0.5,
    prepare=_prepare,
    initialise=_initialise,
    # Its ready hook has deployed the template, with the addresses of the containers.
    initialise_in_compose=lambda profile, say: None,
)
