"""The far end: another LocalStack, with another account, region and port, on another address, over TLS.

127.0.0.2 is this machine too (on Linux), and is nothing that the code takes for this machine: so the guard asks,
certificates are checked, and a person's environment (a CA bundle) is heeded.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from moto.server import ThreadedMotoServer

from foundation import environment, packages
from foundation.aws import client
from foundation.profile import ROOT, Profile, load
from pinflow.cloudformation.stack import Stack
from tests.contract.aws.mwaa import Airflow
from tests.contract.aws.tls import Authority, Forwarder
from tests.servers.backends import Backend, Seen
from tests.servers.ports import free_port
from tests.servers.process import ServerProcess

API_KEY = "c4naryApiKey0123456789"
ACCOUNT, REGION, UID, ADDRESS = "111122223333", "eu-west-1", "abcdef012345", "127.0.0.2"


class FarEnd(ServerProcess):
    """LocalStack without anything of ours."""

    def __init__(self, home: Path) -> None:
        super().__init__(home / "log")
        self.home, self.port = home, free_port()

    def command(self) -> Sequence[str]:
        return [
            str(packages.python("localstack")),
            "-I",
            "-W",
            "ignore",
            str(Path(__file__).with_name("localstack.py")),
        ]

    def environment(self) -> Mapping[str, str]:
        return environment.read("localstack") | {
            "SERVICES": "s3,kinesis,apigateway,sts,iam,cloudformation,logs",
            # An API's role belongs to its account, and LocalStack reads the account from the keys of the role.
            "PARITY_AWS_ACCESS_KEY_ID": "1",
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "DNS_ADDRESS": "0",
            "OVERRIDE_IN_DOCKER": "0",
            "FILESYSTEM_ROOT": str(self.home),
            "CONFIG_DIR": str(self.home / "config"),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
        }

    def is_ready(self) -> bool:
        answer = requests.get(f"http://127.0.0.1:{self.port}/_localstack/init/ready", timeout=2)
        return bool(answer.json()["completed"])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS, 0))
        except OSError:
            pytest.skip(f"this machine has no {ADDRESS}")
    return Authority.create(tmp_path_factory.mktemp("tls"), ADDRESS)


@pytest.fixture(scope="session")
def far_end(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    """The URL of a LocalStack in which there is nothing."""
    server = FarEnd(tmp_path_factory.mktemp("far-end"))
    server.launch(directory=server.home)
    forwarder = Forwarder(authority, ADDRESS, server.port)
    try:
        server.wait_until_ready()
        yield forwarder.url
    finally:
        forwarder.close()
        server.stop()


@pytest.fixture
def as_person(monkeypatch: pytest.MonkeyPatch, authority: Authority, tmp_path: Path) -> pytest.MonkeyPatch:
    """A person's environment: credentials where boto3 looks, the far end's authority trusted, nothing else."""
    monkeypatch.setattr("pinflow.cloudformation.stack._POLL", 0.1)  # seconds; AWS takes longer than LocalStack
    for name in [n for n in os.environ if n.startswith(("AWS_", "PINFLOW_", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCOUNT,  # LocalStack's account is the key id, where that has 12 digits
        "AWS_SECRET_ACCESS_KEY": "far-away",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": str(authority.bundle),
        "REQUESTS_CA_BUNDLE": str(authority.bundle),
        "PINTEREST_DB_PASSWORD": "far-away",
        "DATABRICKS_TOKEN": "far-away",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(scope="session")
def backend() -> Backend:
    """The REST proxy behind the far end's API: takes every record, and knows the three topics."""

    def answer(seen: Seen) -> tuple[int, Any]:
        if seen.method == "GET":
            return 200, [f"{UID}.{table}" for table in ("pin", "geo", "user")]
        records = json.loads(seen.body)["records"]
        if not records:
            return 422, {"error_code": 422, "message": "records is empty"}
        return 200, {"offsets": [{"partition": 0, "offset": 0, "error_code": None, "error": None} for _ in records]}

    return Backend(answer)


@pytest.fixture
def deployed(far_end: str, as_person: pytest.MonkeyPatch, tmp_path: Path, backend: Backend) -> Profile:
    """A profile whose resources `aws-up` has made at the far end, with an API key; the same ones for all tests."""
    as_person.setenv("PINTEREST_API_KEY", API_KEY)
    stage = f"{far_end}/_aws/execute-api/pinflow/dev"
    profile = write_profile(
        tmp_path / "deployed.yaml", far_end, rest_proxy__url=backend.url, api__invoke_url=stage,
        api__authorization="iam", api__api_key="${PINTEREST_API_KEY}",
    )  # fmt: skip
    stack = Stack(profile)
    if not stack.resources():
        outputs = stack.up(lambda changes: True, lambda text: None)
        assert outputs
        _give_back_credentials(profile, outputs["KinesisRoleArn"])
    return profile


def _give_back_credentials(profile: Profile, role: str) -> None:
    """LocalStack's import of OpenAPI drops the role of an integration, and then calls as another account."""
    gateway = client(profile, "apigateway")
    change: Any = {"op": "replace", "path": "/credentials", "value": role}
    for item in gateway.get_resources(restApiId="pinflow", embed=["methods"])["items"]:
        for verb, method in item.get("resourceMethods", {}).items():
            if method["methodIntegration"]["type"] == "AWS":
                gateway.update_integration(
                    restApiId="pinflow", resourceId=item["id"], httpMethod=verb, patchOperations=[change]
                )
    gateway.create_deployment(restApiId="pinflow", stageName="dev")


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def moto(moto_server: str) -> str:
    """The URL of another implementation of S3, Kinesis and STS, in which there is nothing."""
    requests.post(f"{moto_server}/moto-api/reset", timeout=10).raise_for_status()
    return moto_server


def write_profile(path: Path, endpoint: str, **changes: Any) -> Profile:
    """aws.example.yaml as a person fills it in, with AWS at ``endpoint``; changes such as `api__api_key="${KEY}"`."""
    document = yaml.safe_load((ROOT / "profiles" / "aws.example.yaml").read_text(encoding="utf-8"))
    document["uid"] = UID
    document["aws"] |= {"region": REGION, "endpoint_url": endpoint}
    document["storage"]["dag_bucket"] = f"dags-{UID}"
    document["databricks"]["secrets"] = {}
    for name, value in changes.items():
        section, _, key = name.partition("__")
        document[section][key] = value
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(str(path))


@pytest.fixture
def airflow(as_person: pytest.MonkeyPatch) -> Iterator[Airflow]:
    """An Airflow behind MWAA's own API, and the keys for it in the environment."""
    made = Airflow("pinflow")
    for name, value in made.settings.items():
        as_person.setenv(name, value)
    yield made
    made.close()
