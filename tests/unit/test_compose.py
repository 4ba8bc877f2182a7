"""docker-compose.yml: official images, pinned, on loopback, from the very files that the native way reads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation import environment
from foundation.profile import ROOT, Profile, load
from pinflow.instance import LOCAL_PORT
from pinflow.stack import images, launch
from pinflow.stack.compose import SLOWNESS
from pinflow.stack.compose_variables import variables
from services.kafka import native as kafka

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
OVERRIDE = (ROOT / "docker-compose.packages.yml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
# The step that puts the connector has no folder and no settings of its own.
OF_THE_PIPELINE = [name for name in SERVICES if name != "connector"]
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
CONFLUENT = {"rest_proxy": "KAFKA_REST_", "connect": "CONNECT_"}
# What natively is another: addresses, paths and what belongs to them, as services/<name>/native.py sets it.
ADDRESSES_AND_PATHS = {
    "kafka": {"KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS", "KAFKA_LOG_DIRS"},
    "rest_proxy": {"KAFKA_REST_LISTENERS", "KAFKA_REST_BOOTSTRAP_SERVERS"},
    "connect": {
        "CONNECT_LISTENERS",
        "CONNECT_BOOTSTRAP_SERVERS",
        "CONNECT_REST_ADVERTISED_HOST_NAME",
        "AWS_ENDPOINT_URL",
    },
    "localstack": {"PINFLOW_DIRECTORY", "PINFLOW_ENDPOINT_URL", "PINFLOW_REST_PROXY_URL", "PINFLOW_CONNECT_URL"},
    "spark": {
        "CLUSTER_HOME",
        "CLUSTER_ADDRESS",
        "CLUSTER_WRITABLE",
        "SPARK_CONF_DIR",
        "SPARK_DIST_CLASSPATH",
        "PYSPARK_PYTHON",
        "PYTHONPATH",
        "AWS_ENDPOINT_URL",
    },
    "airflow": {
        "AIRFLOW_HOME",
        "PYTHONPATH",
        "AIRFLOW__API__HOST",
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__WEBSERVER__CONFIG_FILE",
        "AIRFLOW_CONN_AWS_DEFAULT",
        "AIRFLOW_CONN_DATABRICKS_DEFAULT",
        "MWAA_LISTEN",
        "MWAA_S3_ENDPOINT_URL",
    },
}
# Set on one side only: the JVM's size, a second region variable, and what a container has no need of.
ONE_SIDED = {
    "kafka": {"KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS"},
    "rest_proxy": {"KAFKAREST_HEAP_OPTS"},
    "connect": {"KAFKA_HEAP_OPTS", "AWS_REGION", "AWS_DEFAULT_REGION"},
    "localstack": {
        "AWS_REGION",
        "GATEWAY_LISTEN",
        "DNS_ADDRESS",
        "OVERRIDE_IN_DOCKER",
        "FILESYSTEM_ROOT",
        "CONFIG_DIR",
        "HOME",
        "XDG_CACHE_HOME",
    },
    "spark": {"AWS_DEFAULT_REGION", "PATH"},
    "airflow": {
        "AWS_REGION",
        "PATH",
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT",
    },
}


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Profile:
    """The profile with its own defaults, whatever the environment of the tests says."""
    for name in [name for name in os.environ if name.startswith("PINFLOW_")]:
        monkeypatch.delenv(name)
    return load("local")


def in_compose(service: str, profile: Profile | None = None) -> dict[str, str]:
    """The environment of a service's container, with a profile's values or docker-compose.yml's defaults."""
    values = variables(profile) if profile else {}
    written = environment.read(service) | SERVICES[service].get("environment", {})
    return {k: VARIABLE.sub(lambda found: values.get(found[1], found[2]), str(v)) for k, v in written.items()}


def natively(service: str, profile: Profile) -> dict[str, str]:
    if service == "kafka":
        return kafka.variables(profile)
    return dict(launch.service(service).command(profile).environment)


def has_compose() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed here")
def test_docker_compose_accepts_it() -> None:
    done = subprocess.run(["docker", "compose", "config", "-q"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("service", ADDRESSES_AND_PATHS)
def test_containers_have_the_settings_that_the_native_services_have(service: str, local: Profile) -> None:
    apart = ADDRESSES_AND_PATHS[service] | ONE_SIDED[service] | {"NO_PROXY", "no_proxy"}
    containers, processes = in_compose(service), natively(service, local)
    assert {k: v for k, v in containers.items() if k not in apart} == {
        k: v for k, v in processes.items() if k not in apart
    }
    assert ADDRESSES_AND_PATHS[service] <= containers.keys() & processes.keys()


@pytest.mark.parametrize("service", ADDRESSES_AND_PATHS)
def test_another_region_and_another_bucket_of_the_dags_reach_the_containers(service: str, local: Profile) -> None:
    storage = local.storage.model_copy(update={"dag_bucket": "other-dags"})
    aws = local.aws.model_copy(update={"region": "eu-west-1"})
    moved = in_compose(service, local.model_copy(update={"storage": storage, "aws": aws}))
    assert not [name for name, value in moved.items() if "mwaa-dags-bucket" in value or "us-east-1" in value]
    if service == "airflow":
        assert moved["MWAA_BUCKET"] == "other-dags"
        extra = json.loads(moved["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]
        assert (extra["region_name"], extra["endpoint_url"]) == ("eu-west-1", "http://localstack:4566")


@pytest.mark.parametrize(("service", "prefix"), CONFLUENT.items())
def test_the_confluent_images_render_what_the_stand_ins_read(service: str, prefix: str) -> None:
    for name in environment.read(service):
        if name.startswith(prefix):
            words = name.removeprefix(prefix).split("_")
            assert all(len(word) != 1 for word in words), f"{name}: the image breaks words of one letter"
    rendered = environment.properties(in_compose(service), prefix)
    assert all(re.fullmatch(r"[a-z0-9.-]+", name) for name in rendered)
    assert "port" not in rendered  # the image refuses it


@pytest.mark.parametrize("service", SERVICES)
def test_every_port_is_published_on_loopback_only(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


@pytest.mark.parametrize("service", SERVICES)
def test_no_container_asks_a_proxy_for_another_one_or_for_itself(service: str) -> None:
    """Compose puts the proxy of ~/.docker/config.json into every container."""
    given = SERVICES[service]["environment"]
    assert given["NO_PROXY"] == given["no_proxy"]
    assert set(given["no_proxy"].split(",")) == {"localhost", "127.0.0.1", "::1", *SERVICES}


def test_builds_keep_their_proxies() -> None:
    for name, definition in SERVICES.items():
        assert not [argument for argument in definition.get("build", {}).get("args", {}) if "proxy" in argument.lower()]
        dockerfile = ROOT / "services" / name / "Dockerfile"
        assert "proxy" not in (dockerfile.read_text(encoding="utf-8").lower() if dockerfile.exists() else "")


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_from_this_machine_is_labelled_for_selinux(service: str) -> None:
    mounts = [mount for mount in SERVICES[service].get("volumes", []) if mount.startswith((".", "${"))]
    assert all(re.search(r":(ro,)?z$", mount) for mount in mounts)


@pytest.mark.parametrize("service", SERVICES)
def test_an_official_image_has_three_minutes(service: str) -> None:
    """Confluent's REST proxy was ready after 47 s, on a machine with nothing else to do."""
    check = SERVICES[service]["healthcheck"]
    assert int(check["interval"].removesuffix("s")) * check["retries"] >= 180
    if service != "connector":
        assert launch.service(service).timeout * SLOWNESS >= 180


@pytest.mark.parametrize("service", [name for name in SERVICES if "build" in SERVICES[name]])
def test_every_image_of_ours_says_what_it_was_made_of(service: str) -> None:
    assert SERVICES[service]["build"]["labels"] == {images.LABEL: "${PINFLOW_INPUTS:-}"}
    assert VARIABLE.sub(r"\2", SERVICES[service]["image"]).startswith(f"pinflow/{service}:")


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned(service: str) -> None:
    image = VARIABLE.sub(r"\2", SERVICES[service]["image"])
    assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+(-slim-bookworm)?", image)


def test_nothing_is_the_latest() -> None:
    dockerfiles = [file.read_text(encoding="utf-8") for file in (ROOT / "services").glob("*/Dockerfile")]
    for text in (TEXT, OVERRIDE, *dockerfiles):
        assert "latest" not in text
        assert "# syntax=" not in text  # would be fetched from a registry
        assert "start_interval" not in text  # unknown to engines before 25


@pytest.mark.parametrize("service", OF_THE_PIPELINE)
def test_every_service_has_its_folder_and_its_settings(service: str) -> None:
    definition = SERVICES[service]
    assert definition["env_file"] == f"services/{service}/{service}.env"
    assert (ROOT / definition["env_file"]).is_file()
    assert (ROOT / "services" / service / "native.py").is_file()


@pytest.mark.parametrize("service", ["localstack", "connector", "airflow", "spark", "databricks"])
def test_the_border_of_loops_is_where_it_is_needed(service: str) -> None:
    """Beside the folder of the service, for which the image or the mounts hold nothing else of services/."""
    dockerfile = ROOT / "services" / service / "Dockerfile"
    copied = dockerfile.read_text(encoding="utf-8") if dockerfile.exists() else ""
    mount = "./foundation/supervised.py:/opt/pinflow/foundation/supervised.py:ro"
    mounted = any(volume.startswith(mount) for volume in SERVICES[service].get("volumes", []))
    assert mounted or "COPY foundation/ foundation/\n" in copied


@pytest.mark.parametrize("service", ["localstack", "connector"])
def test_the_client_of_connect_is_where_it_is_needed(service: str) -> None:
    assert "./foundation/connect.py:/opt/pinflow/foundation/connect.py:ro,z" in SERVICES[service]["volumes"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_watched_limited_and_started_again(service: str) -> None:
    definition = SERVICES[service]
    assert definition["healthcheck"]["test"]
    assert definition["mem_limit"]
    assert definition["logging"]["options"]["max-size"]
    # A service that ends by itself would fail `up --wait`, unless something waits for its success: here none does.
    assert definition["restart"] == "unless-stopped"
    assert all(c == {"condition": "service_healthy"} for c in definition.get("depends_on", {}).values())


@pytest.mark.parametrize("group", ["ingestion", "batch", "stream", "everything"])
def test_each_group_of_services_holds_what_its_services_wait_for(group: str) -> None:
    chosen = {name for name, definition in SERVICES.items() if group in definition["profiles"]}
    assert {"mysql", "localstack"} <= chosen
    for name in chosen:
        assert SERVICES[name].get("depends_on", {}).keys() <= chosen


def test_everything_is_every_service_of_the_profile_and_the_step_for_the_connector(local: Profile) -> None:
    assert {name for name, d in SERVICES.items() if "everything" in d["profiles"]} == set(SERVICES)
    assert set(OF_THE_PIPELINE) == set(local.stack.services if local.stack else [])


def test_the_ports_are_those_of_the_local_profile() -> None:
    profile = (ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8")
    ports = [VARIABLE.sub(r"\2", port) for definition in SERVICES.values() for port in definition.get("ports", [])]
    assert {port.split(":")[1] for port in ports} == {port for _, port in LOCAL_PORT.findall(profile)}


def test_every_variable_comes_from_the_profile_and_has_its_local_value_as_default(local: Profile) -> None:
    given, defaults = variables(local), dict(VARIABLE.findall(TEXT))
    defaults["PINFLOW_HOME"] = str((ROOT / defaults["PINFLOW_HOME"]).resolve())
    versions = {name for name in defaults if name.endswith("_VERSION")}
    of_a_build = {"PINFLOW_INPUTS"}  # set while an image is built (pinflow/stack/images.py)
    assert defaults.keys() - versions - of_a_build <= given.keys()
    # Of this machine's user, and SQL and secret scopes, which a default cannot hold.
    apart = {"PINFLOW_USER", "PINFLOW_USER_ID", "PINFLOW_DATABRICKS_SECRETS"} | (versions - {"AIRFLOW_VERSION"})
    apart |= {"PINFLOW_DATABASE_ACCOUNTS"}  # by hand the mysql image makes its user itself
    apart |= of_a_build
    assert {k: v for k, v in defaults.items() if k not in apart} == {k: given[k] for k in defaults.keys() - apart}


def test_an_instance_has_ports_and_a_home_of_its_own(tmp_path: Path) -> None:
    from pinflow import instance

    moved = variables(load(str(instance.write("local", tmp_path / "p.yaml", tmp_path / "state", 1000))))
    assert (moved["PINFLOW_KAFKA_PORT"], moved["PINFLOW_MWAA_PORT"]) == ("10092", "9081")
    assert moved["PINFLOW_HOME"] == str(tmp_path / "state")


def test_the_override_changes_image_user_command_and_mounts_only() -> None:
    document = yaml.safe_load(OVERRIDE)
    assert document["services"].keys() == SERVICES.keys()
    for name, changed in document["services"].items():
        assert changed.keys() <= {"image", "user", "command", "entrypoint", "volumes"}, name
        # Nothing of this machine can be written to.
        assert all(volume.endswith(":ro") for volume in changed["volumes"]), name


def test_no_secret_stands_in_a_settings_file() -> None:
    for file in (ROOT / "services").glob("*/*.env"):
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            assert not (re.search(r"PASSWORD|SECRET|TOKEN", name) and "RANDOM" not in name and value), f"{file}: {line}"
