"""LocalStack 4.9.2 as it runs natively and 4.14.0 as its image runs it: the same hooks, the same records afterwards.

Each start takes seconds, so the one in_image serves most tests. What becomes of records natively: test_lifecycle.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from foundation import environment, packages
from foundation.aws import client
from foundation.errors import NotReady
from foundation.profile import ROOT
from services.localstack.native import SERVICE
from tests.contract.localstack import official
from tests.contract.localstack.conftest import numbers
from tests.servers.backends import Backend, FakeConnect
from tests.servers.localstack import UID, LocalStack
from tests.servers.waiting import wait_for

STREAM = f"streaming-{UID}-user"  # test_api.py has the others
HOOKS = ROOT / "services" / "localstack"
WAYS = ("natively", "as in the image")
# What start.d/ replaces or uses in LocalStack.
NAMES = [
    (
        "keep_kinesis_on_disk.py",
        "localstack.services.kinesis.kinesis_mock_server:KinesisMockNodeServer.do_start_thread",
    ),
    (
        "keep_kinesis_on_disk.py",
        "localstack.services.kinesis.kinesis_mock_server:KinesisMockNodeServer._create_shell_command",
    ),
    ("keep_kinesis_on_disk.py", "localstack.utils.run:ShellCommandThread.stop"),
    ("list_keys_with_plus.py", "localstack.services.s3.provider:S3Provider.list_objects"),
    ("list_keys_with_plus.py", "localstack.services.s3.provider:S3Provider.list_objects_v2"),
    (
        "read_json_paths_fast.py",
        "localstack.services.apigateway.next_gen.execute_api.template_mapping:VelocityInput._extract_json_path",
    ),
]


def interpreter(way: str) -> Path:
    return packages.python("localstack") if way == "natively" else official.python()


@pytest.fixture
def image(in_image: LocalStack) -> LocalStack:
    """The one of all tests, started again where the test before has ended it."""
    if not in_image.is_alive():
        in_image.start()
    return in_image


def put(localstack: LocalStack, numbers: range) -> None:
    """500 records a call, each of some 500 bytes."""
    kinesis = client(localstack.profile, "kinesis")
    for first in range(numbers.start, numbers.stop, 500):
        batch = [
            json.dumps({"ind": number, "text": "x" * 470}) for number in range(first, min(first + 500, numbers.stop))
        ]
        answer = kinesis.put_records(
            StreamName=STREAM, Records=[{"Data": row.encode(), "PartitionKey": str(len(row))} for row in batch]
        )
        assert answer["FailedRecordCount"] == 0


def data_file(localstack: LocalStack) -> Path:
    return localstack.profile.home / "localstack/var/lib/localstack/state/kinesis/000000000000.json"


def on_disk(localstack: LocalStack) -> int:
    """How many records of the stream the file has."""
    streams = json.loads(data_file(localstack).read_text(encoding="utf-8"))["streams"]
    [stream] = [stream for name, stream in streams.items() if name.endswith(f"/{STREAM}")]
    return sum(len(records) for records in stream["shards"].values())


@pytest.mark.parametrize("way", WAYS)
def test_every_hook_has_done_its_work(way: str, request: pytest.FixtureRequest) -> None:
    localstack = request.getfixturevalue("localstack" if way == "natively" else "image")
    hooks = requests.get(f"{localstack.profile.aws.endpoint_url}/_localstack/init", timeout=30).json()["scripts"]
    files = [*(HOOKS / "start.d").glob("*.py"), *(HOOKS / "ready.d").glob("*.py")]
    assert {hook["name"]: hook["state"] for hook in hooks} == {file.name: "SUCCESSFUL" for file in files}
    assert localstack.printed().count("\n") < 30, localstack.printed()


def test_what_is_on_disk_outlives_a_kill_of_all_its_processes(image: LocalStack) -> None:
    """It is there a few seconds after the last record, with nothing else to wait for."""
    before = numbers(image, STREAM)
    put(image, range(15_000))
    wait_for("15,000 records more on disk", lambda: on_disk(image) == len(before) + 15_000)
    image.kill_all()
    image.start()
    assert numbers(image, STREAM) == sorted([*before, *range(15_000)])


def test_told_to_end_right_after_the_last_record_it_keeps_all(image: LocalStack) -> None:
    before = len(numbers(image, STREAM))
    put(image, range(5_000))
    image.stop(signal.SIGTERM)
    assert on_disk(image) == before + 5_000


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_file_is_kept_and_reported_and_it_starts(
    way: str, request: pytest.FixtureRequest, tmp_path: Path, rest_proxy: Backend
) -> None:
    if way == "natively":
        localstack = LocalStack.create(tmp_path, rest_proxy.url, FakeConnect().backend.url)
    else:
        localstack = request.getfixturevalue("in_image")
    if localstack.is_alive():
        localstack.kill_all()
    broken = '{"streams":{"arn:aws:kin'
    data_file(localstack).parent.mkdir(parents=True, exist_ok=True)
    data_file(localstack).write_text(broken, encoding="utf-8")
    try:
        localstack.start()
        [kept] = data_file(localstack).parent.glob("*.unreadable-*")
        assert kept.read_text(encoding="utf-8") == broken
        assert f"cannot read {data_file(localstack)}: kept it as {kept}" in localstack.printed()
        put(localstack, range(10))
        assert numbers(localstack, STREAM) == list(range(10))
    finally:
        if localstack.is_alive():
            localstack.kill_all()


def test_a_hook_that_does_not_fit_keeps_it_from_being_ready(tmp_path: Path, rest_proxy: Backend) -> None:
    official.python()
    hook, name = NAMES[-1]
    localstack = official.Official.create(tmp_path, rest_proxy.url, FakeConnect().backend.url)
    localstack.without = (name,)
    localstack.launch()
    try:
        said = wait_for("the failure", lambda: not_ready(localstack, "make_resources.py"))
        assert f"LocalStack's hooks {hook}, make_resources.py failed" in said
        ready = requests.get(f"{localstack.profile.aws.endpoint_url}/_localstack/init/ready", timeout=30)
        assert "SUCCESSFUL" not in ready.text, "what the container's health check looks for"
        assert f"nothing is deployed, because start.d/{hook} failed" in localstack.printed()
        assert "has no attribute '_extract_json_path'" in localstack.printed()
    finally:
        localstack.kill_all()


def not_ready(localstack: LocalStack, what: str) -> str:
    """Why it is not, once the reason has to do with ``what``."""
    try:
        SERVICE.probe(localstack.profile)
    except NotReady as reason:
        return reason.what if what in reason.what and "failed" in reason.what else ""
    raise AssertionError("it is ready")


def settings(root: Path) -> dict[str, str]:
    return os.environ | environment.read("localstack") | {"PINFLOW_DIRECTORY": str(ROOT), "FILESYSTEM_ROOT": str(root)}


@pytest.mark.parametrize("way", WAYS)
def test_a_hook_fails_where_a_name_that_it_replaces_is_gone(way: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("without.py")
    cases = [[str(HOOKS / "start.d" / hook), name] for hook, name in NAMES]
    command: list[str | Path] = [interpreter(way), "-I", "-W", "ignore", script, json.dumps(cases)]
    done = subprocess.run(command, env=settings(tmp_path), capture_output=True, text=True, check=True, cwd=tmp_path)
    raised: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for _, name in NAMES:
        assert raised[name] is not None, f"nothing happens without {name}"
        assert name.rpartition(".")[2] in raised[name]


@pytest.mark.parametrize("way", WAYS)
def test_another_version_of_kinesis_is_refused(way: str, tmp_path: Path) -> None:
    hook = HOOKS / "start.d" / "keep_kinesis_on_disk.py"
    other = settings(tmp_path) | {"KINESIS_MOCK_VERSION": "0.5.2"}
    command: list[str | Path] = [interpreter(way), "-I", hook]
    done = subprocess.run(command, env=other, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "made for kinesis-local 0.4.13, not 0.5.2: set KINESIS_MOCK_VERSION" in done.stderr
