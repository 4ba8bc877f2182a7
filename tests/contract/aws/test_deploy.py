"""`make deploy`: into a real workspace, into moto's S3, through MWAA's door, and by MSK Connect's own description."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from foundation import packages
from foundation.aws import client
from foundation.dag_bucket import FOLDER
from foundation.errors import PinflowError
from foundation.profile import Profile
from pinflow import cli as command
from pinflow.cli import cli
from pinflow.deploy import PARTS, connector, dags
from pinflow.deploy.difference import Difference, as_text
from tests.contract.aws.conftest import REGION, UID, write_profile
from tests.contract.aws.mwaa import Airflow
from tests.contract.doctor.conftest import Stubs
from tests.contract.workspace.conftest import TOKEN, Service
from tests.servers.backends import Backend, Seen
from tests.servers.waiting import wait_for

HOME = "/Users/local@pinflow/pinflow"
THREE = ("--only", "notebooks", "--only", "variables", "--only", "dags")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("workspace") / "home")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def profile(
    workspace: Service, airflow: Airflow, moto: str, as_person: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Profile]:
    """A profile whose workspace, DAG bucket and MWAA environment are there and empty; its DAGs count as readable."""
    as_person.setenv("DATABRICKS_TOKEN", TOKEN)
    as_person.setattr(dags, "check_imports", lambda profile: [])
    made = write_profile(
        tmp_path / "deploy.yaml", moto, databricks__host=workspace.url, airflow__endpoint_url=airflow.url
    )
    place: Any = {"LocationConstraint": REGION}
    client(made, "s3").create_bucket(Bucket=made.storage.dag_bucket, CreateBucketConfiguration=place)
    yield made
    workspace.call("POST", "/api/2.0/workspace/delete", json={"path": HOME, "recursive": True})


def deploy(profile: Profile, *options: str) -> Result:
    return CliRunner().invoke(cli, ["--profile", str(profile.path), "deploy", *options])


def deployed(profile: Profile) -> set[str]:
    return {one["Key"] for one in client(profile, "s3").list_objects_v2(Bucket=profile.storage.dag_bucket)["Contents"]}


def test_a_dry_run_names_everything_and_writes_nothing(profile: Profile, airflow: Airflow, workspace: Service) -> None:
    result = deploy(profile, "--dry-run", *THREE)
    assert result.exit_code == 0, result.exception
    assert f"new     s3://dags-{UID}/dags/pinterest_dag.py" in result.output
    assert f"new     {HOME}/notebooks/load\n" in result.output
    assert f"new     {HOME}/pinterest/cleaning.py\n" in result.output
    assert "new     Airflow Variable pinterest_uid" in result.output
    assert client(profile, "s3").list_objects_v2(Bucket=profile.storage.dag_bucket)["KeyCount"] == 0
    assert airflow.variables == {}
    assert workspace.call("GET", f"/api/2.0/workspace/get-status?path={HOME}").status_code == 404


def test_everything_is_put_there_and_a_second_time_nothing_is_to_do(profile: Profile, airflow: Airflow) -> None:
    first = deploy(profile, "--yes", *THREE)
    assert first.exit_code == 0, first.exception
    assert deployed(profile) == {"requirements.txt", "dags/pinterest_dag.py", "dags/pinterest_smallest_dag.py"}
    assert "update the environment to install it" in first.output
    assert airflow.variables == {
        "pinterest_uid": UID,
        "pinterest_bucket": f"user-{UID}-bucket",
        "pinterest_cluster_id": profile.databricks.cluster_id,
        "pinterest_notebooks": f"{HOME}/notebooks",
    }
    second = deploy(profile, *THREE)
    assert second.exit_code == 0, second.exception
    assert "nothing to deploy" in second.output


def test_what_changed_is_shown_line_by_line_and_only_that(profile: Profile, airflow: Airflow) -> None:
    deploy(profile, "--yes", *THREE)
    old = (FOLDER / "dags" / "pinterest_dag.py").read_text().replace("catchup=False", "catchup=True")
    client(profile, "s3").put_object(Bucket=profile.storage.dag_bucket, Key="dags/pinterest_dag.py", Body=old.encode())
    airflow.variables["pinterest_bucket"] = "another"
    result = deploy(profile, "--dry-run", *THREE)
    assert result.output.count("changed ") == 2
    assert "new " not in result.output
    assert "-    catchup=True," in result.output
    assert "+    catchup=False," in result.output
    assert "-another" in result.output


def test_without_anybody_to_ask_nothing_is_deployed(profile: Profile, airflow: Airflow) -> None:
    result = deploy(profile, "--only", "variables")
    assert "pass --yes" in str(result.exception)
    assert airflow.variables == {}


def test_no_secret_is_shown(profile: Profile, as_person: pytest.MonkeyPatch) -> None:
    as_person.setenv("PINTEREST_DB_PASSWORD", "c4nary-S3cret")
    leaky = b"password = 'c4nary-S3cret'\n"
    client(profile, "s3").put_object(Bucket=profile.storage.dag_bucket, Key="dags/pinterest_dag.py", Body=leaky)
    result = deploy(profile, "--dry-run", "--only", "dags")
    assert "c4nary" not in result.output
    assert "-password = '********'" in result.output


def test_a_dag_that_cannot_be_imported_stops_it_before_anything_is_written(
    profile: Profile, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(profile: Profile) -> list[str]:
        raise PinflowError("x.py: no module named y")

    monkeypatch.setattr(dags, "check_imports", broken)
    result = deploy(profile, "--yes", *THREE)
    assert "no module named y" in str(result.exception)
    assert {method for method, _ in airflow.calls} <= {"GET"}


def test_the_installed_airflow_reads_the_dags_and_shows_what_it_cannot_import(
    as_person: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path / "p.yaml", "http://127.0.0.1:9")
    if not packages.python(f"airflow-{profile.airflow.version}").is_file():
        pytest.skip("the profile's Airflow is not installed")
    assert dags.check_imports(profile) == [f"{UID}_dag", f"{UID}_small"]
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "old.py").write_text(
        "from airflow import DAG\nfrom airflow.operators.dummy_operator import DummyOperator\n"
    )
    with pytest.raises(PinflowError, match=r"old\.py: (.|\n)*EmptyOperator for DummyOperator") as caught:
        dags.check_imports(profile, tmp_path / "dags")
    assert "nothing was deployed" in caught.value.fix


def test_dags_that_take_too_long_to_read_are_said_and_nothing_of_the_reader_is_left(
    as_person: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path / "p.yaml", "http://127.0.0.1:9")
    reader, ready = tmp_path / "read.py", tmp_path / "pid"
    reader.write_text(
        "import pathlib, subprocess, time\n"
        f"pathlib.Path({str(ready)!r}).write_text(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "time.sleep(600)\n"
    )
    as_person.setattr(dags, "_READ", reader)
    as_person.setattr(dags, "_LONGEST", 5)
    as_person.setattr(packages, "python", lambda environment: Path(sys.executable))
    with pytest.raises(PinflowError, match=r"did not read .* within 5 s") as caught:
        dags.check_imports(profile)
    assert "nothing was deployed" in caught.value.fix
    wait_for("the end of what it started", lambda: not runs(int(ready.read_text())))


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_the_command_knows_the_parts_without_importing_them() -> None:
    assert set(command.DEPLOYED) == set(PARTS)


# --- the connector ----------------------------------------------------------------------------------------------------

ARN = "arn:aws:kafkaconnect:eu-west-1:111122223333:connector/x/1"
ROLE = "arn:aws:iam::111122223333:role/connect"
MSK = {
    "plugin": "confluent-s3-sink",
    "worker_configuration": None,
    "role_arn": ROLE,
    "subnets": "subnet-a, subnet-b",
    "security_groups": "sg-a",
}
Make = Callable[..., Profile]


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Stubs:
    made = Stubs()
    monkeypatch.setattr(connector, "client", made.client)
    return made


@pytest.fixture
def make(as_person: pytest.MonkeyPatch, tmp_path: Path) -> Make:
    def made(**msk: Any) -> Profile:
        profile = write_profile(tmp_path / "msk.yaml", "http://127.0.0.1:9", connect__msk={**MSK, **msk})
        return profile.model_copy(update={"aws": profile.aws.model_copy(update={"endpoint_url": None})})

    return made


def there(stubs: Stubs, name: str, config: dict[str, str] | None, state: str = "RUNNING") -> None:
    kafkaconnect = stubs.of("kafkaconnect")
    listed = [{"connectorName": name, "connectorArn": ARN}] if config is not None else []
    kafkaconnect.add_response("list_connectors", {"connectors": listed}, {"connectorNamePrefix": name})
    if config is not None:
        found = {"connectorArn": ARN, "connectorName": name, "connectorState": state, "currentVersion": "V1"}
        kafkaconnect.add_response("describe_connector", {**found, "connectorConfiguration": config})


def plugins(stubs: Stubs, name: str) -> None:
    plugin = {"name": name, "customPluginArn": "arn:plugin", "latestRevision": {"revision": 3}}
    stubs.of("kafkaconnect").add_response("list_custom_plugins", {"customPlugins": [plugin]})


def test_a_connector_that_is_not_there_is_made_with_iam_in_the_vpc(stubs: Stubs, make: Make) -> None:
    profile = make()
    name, config = profile.connect.connector, connector.configuration(profile)
    there(stubs, name, None)
    plugins(stubs, MSK["plugin"] or "")
    part = connector.find(profile)
    (difference,) = part.differences()
    assert difference == Difference(f"MSK Connect: {name}", None, as_text(config))
    there(stubs, name, None)
    plugins(stubs, MSK["plugin"] or "")
    cluster = {
        "bootstrapServers": profile.kafka.bootstrap_servers,
        "vpc": {"subnets": ["subnet-a", "subnet-b"], "securityGroups": ["sg-a"]},
    }
    expected = {
        "connectorName": name,
        "connectorConfiguration": config,
        "kafkaConnectVersion": "3.7.x",
        "capacity": {"provisionedCapacity": {"mcuCount": 1, "workerCount": 1}},
        "kafkaCluster": {"apacheKafkaCluster": cluster},
        "kafkaClusterClientAuthentication": {"authenticationType": "IAM"},
        "kafkaClusterEncryptionInTransit": {"encryptionType": "TLS"},
        "plugins": [{"customPlugin": {"customPluginArn": "arn:plugin", "revision": 3}}],
        "serviceExecutionRoleArn": ROLE,
    }
    stubs.of("kafkaconnect").add_response("create_connector", {"connectorArn": ARN}, expected)
    said: list[str] = []
    part.apply(said.append)
    assert "about ten minutes" in said[0]


def test_its_configuration_is_that_of_s3_sink_json_without_localstack(make: Make) -> None:
    config = connector.configuration(make())
    assert "store.url" not in config
    assert (config["topics.regex"], config["s3.bucket.name"]) == (f"{UID}\\..*", f"user-{UID}-bucket")
    assert (config["s3.region"], config["errors.deadletterqueue.topic.replication.factor"]) == (REGION, "2")


def test_a_connector_as_it_should_be_is_left_alone(stubs: Stubs, make: Make) -> None:
    profile = make()
    there(stubs, profile.connect.connector, connector.configuration(profile))
    assert connector.find(profile).differences() == []


def test_a_connector_that_differs_is_changed_by_its_version_and_shows_no_key(stubs: Stubs, make: Make) -> None:
    profile = make()
    name, config = profile.connect.connector, connector.configuration(profile)
    old = {**config, "flush.size": "1", "aws.secret.access.key": "c4nary", "aws.access.key.id": "c4nary"}
    there(stubs, name, old)
    part = connector.find(profile)
    (difference,) = part.differences()
    shown = difference.lines(profile)
    assert "-flush.size=1" in shown
    assert "+flush.size=2000" in shown
    assert "-aws.secret.access.key=********" in shown
    assert "c4nary" not in str(difference)
    there(stubs, name, old)
    expected = {"connectorArn": ARN, "currentVersion": "V1", "connectorConfiguration": config}
    stubs.of("kafkaconnect").add_response("update_connector", {"connectorArn": ARN}, expected)
    part.apply(lambda text: None)
    stubs.of("kafkaconnect").assert_no_pending_responses()


def test_a_connector_under_way_is_not_changed(stubs: Stubs, make: Make) -> None:
    profile = make()
    there(stubs, profile.connect.connector, {}, "UPDATING")
    with pytest.raises(PinflowError, match="is UPDATING"):
        connector.find(profile).apply(lambda text: None)


def test_a_plugin_or_worker_configuration_that_is_not_there_is_named_before_anybody_is_asked(
    stubs: Stubs, make: Make
) -> None:
    profile = make(worker_configuration="mine")
    there(stubs, profile.connect.connector, None)
    stubs.of("kafkaconnect").add_response("list_custom_plugins", {"customPlugins": []})
    with pytest.raises(PinflowError, match="no custom plugin confluent-s3-sink"):
        connector.find(profile).differences()
    there(stubs, profile.connect.connector, None)
    plugins(stubs, MSK["plugin"] or "")
    stubs.of("kafkaconnect").add_response("list_worker_configurations", {"workerConfigurations": []})
    with pytest.raises(PinflowError, match="no worker configuration mine"):
        connector.find(profile).differences()


def test_a_refusal_of_msk_connect_says_which_rights_it_takes(stubs: Stubs, make: Make) -> None:
    stubs.of("kafkaconnect").add_client_error("list_connectors", "ForbiddenException", "not allowed")
    with pytest.raises(PinflowError) as caught:
        connector.find(make()).differences()
    assert "iam:PassRole" in caught.value.fix


def test_behind_a_rest_api_it_is_put_there(as_person: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept: dict[str, Any] = {}

    def worker(seen: Seen) -> tuple[int, Any]:
        if seen.method == "PUT":
            kept.update(json.loads(seen.body))
        return (200, {**kept, "tasks": []}) if kept else (404, {"message": "not found"})

    backend = Backend(worker)
    profile = write_profile(tmp_path / "p.yaml", "http://127.0.0.1:9", connect__url=backend.url, connect__msk=None)
    part = connector.find(profile)
    (difference,) = part.differences()
    assert (difference.place, difference.before) == (
        f"{backend.url}/connectors/{profile.connect.connector}", None,
    )  # fmt: skip
    part.apply(lambda text: None)
    assert kept["topics.regex"] == f"{UID}\\..*"
