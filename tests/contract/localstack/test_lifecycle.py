"""LocalStack as a service on one machine: loopback only, one beside the other, back after any end of it."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from foundation.aws import client
from foundation.errors import NotReady, PinflowError
from services.localstack import replay
from services.localstack.native import SERVICE, deploy
from tests.contract.localstack.conftest import numbers
from tests.servers.backends import Backend, FakeConnect
from tests.servers.localstack import UID, LocalStack
from tests.servers.waiting import wait_for

STREAM = f"streaming-{UID}-geo"


def put(localstack: LocalStack, number: int) -> None:
    url = f"{localstack.profile.api.invoke_url}/streams/{STREAM}/record"
    requests.put(url, json={"Data": {"ind": number}, "PartitionKey": "p"}, timeout=30).raise_for_status()


def test_a_listing_of_more_than_a_thousand_keys_with_a_plus_is_complete(localstack: LocalStack) -> None:
    s3, bucket = client(localstack.profile, "s3"), localstack.profile.storage.bucket
    keys = [f"listing/t+0+{number:010d}.json" for number in range(1050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"{}"), keys))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="listing/")
    listed = [item["Key"] for page in pages for item in page["Contents"]]
    replay.Bucket(s3, bucket, "listing/").empty()
    assert listed == keys


def test_it_and_its_children_listen_on_loopback_only(localstack: LocalStack) -> None:
    listening = [
        connection.laddr
        for process in localstack.processes()
        for connection in process.net_connections()
        if connection.status == "LISTEN"
    ]
    assert len(listening) == 3  # the gateway, and kinesis-local's plain and TLS ports
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_buckets_are_private_and_encrypted(localstack: LocalStack) -> None:
    s3, storage = client(localstack.profile, "s3"), localstack.profile.storage
    for bucket in (storage.bucket, storage.dag_bucket):
        access = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert all(access.values())
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_streams_are_on_demand(localstack: LocalStack) -> None:
    kinesis = client(localstack.profile, "kinesis")
    for table in ("pin", "geo", "user"):
        summary = kinesis.describe_stream_summary(StreamName=f"streaming-{UID}-{table}")["StreamDescriptionSummary"]
        assert summary["StreamModeDetails"]["StreamMode"] == "ON_DEMAND"


@pytest.mark.long
def test_streams_have_as_many_shards_as_the_profile_says(
    tmp_path: Path, rest_proxy: Backend, connect: FakeConnect
) -> None:
    sharded = LocalStack.create(tmp_path, rest_proxy.url, connect.backend.url, kinesis__shards=3)
    sharded.start()
    try:
        kinesis = client(sharded.profile, "kinesis")
        for stream in sharded.profile.streams:
            assert len(kinesis.list_shards(StreamName=stream)["Shards"]) == 3
        assert deploy(sharded.profile, lambda message: None)["ApiId"] == "pinflow"
    finally:
        sharded.stop(signal.SIGTERM)


def test_deploying_again_changes_nothing_and_takes_no_time(localstack: LocalStack) -> None:
    begin = time.monotonic()
    outputs = deploy(localstack.profile, lambda message: None)
    assert time.monotonic() - begin < 20
    assert outputs["BucketName"] == f"user-{UID}-bucket"
    assert outputs["ApiId"] == "pinflow"
    assert outputs["KinesisRoleArn"].startswith("arn:aws:iam::")


def test_a_changed_stack_is_refused_and_the_api_lives_on(localstack: LocalStack) -> None:
    other = localstack.profile.rest_proxy.model_copy(update={"url": "http://127.0.0.1:9"})
    with pytest.raises(PinflowError, match="restart LocalStack"):
        deploy(localstack.profile.model_copy(update={"rest_proxy": other}), lambda message: None)
    assert requests.get(f"{localstack.profile.api.invoke_url}/streams", timeout=30).status_code == 200


def test_it_writes_nothing_outside_its_directory(localstack: LocalStack) -> None:
    homes = (Path.home(), Path("/tmp"), Path("/var/lib"))
    names = ("localstack-s3-storage", "localstack", ".localstack")
    client(localstack.profile, "s3").put_object(Bucket=f"user-{UID}-bucket", Key="topics/big", Body=b"x" * 2_000_000)
    opened = {Path(file.path) for process in localstack.processes() for file in process.open_files()}
    allowed = (localstack.profile.path.parent, Path(__file__).parents[3])
    written = [path for path in opened if not any(path.is_relative_to(place) for place in allowed)]
    assert not [path for path in written if any(path.is_relative_to(home / name) for home in homes for name in names)]
    assert list((localstack.profile.home / "localstack").rglob("s3/*bucket"))


@pytest.mark.long
def test_a_second_one_runs_beside_the_first(
    localstack: LocalStack, tmp_path: Path, rest_proxy: Backend, connect: FakeConnect
) -> None:
    second = LocalStack.create(tmp_path, rest_proxy.url, connect.backend.url)
    second.start()
    try:
        put(second, 1)
        assert numbers(second, STREAM) == [1]
        assert numbers(localstack, STREAM) == []
    finally:
        assert second.stop(signal.SIGTERM) < 30


def test_the_sinks_objects_are_deleted_and_no_others(localstack: LocalStack) -> None:
    s3, bucket = client(localstack.profile, "s3"), localstack.profile.storage.bucket
    for key in (f"topics/{UID}.pin/partition=0/a.json", f"topics/{UID}.geo/partition=0/b.json", "topics/mine", "else"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    replay.Bucket(s3, bucket, f"topics/{UID}.").empty()
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert {"topics/mine", "else"} <= keys
    assert not [key for key in keys if key.startswith(f"topics/{UID}.")]


def test_kinesis_alone_killed_comes_back(localstack: LocalStack) -> None:
    _, kinesis = localstack.processes()
    kinesis.kill()
    streams = f"{localstack.profile.api.invoke_url}/streams"
    wait_for("Kinesis to answer", lambda: requests.get(streams, timeout=30).status_code == 200, 30)
    put(localstack, 0)
    assert 0 in numbers(localstack, STREAM)


def test_killed_and_started_again_it_is_as_before_and_the_sink_starts_over(
    localstack: LocalStack, connect: FakeConnect
) -> None:
    assert connect.backend.calls() == []  # nothing was lost before its first start
    bucket = localstack.profile.storage.bucket
    before = numbers(localstack, STREAM)
    for number in range(1, 4):
        put(localstack, number)
    localstack.stop(signal.SIGKILL)

    localstack.launch()
    answers = set()
    while 200 not in answers:
        try:
            answers.add(requests.get(f"{localstack.profile.api.invoke_url}/streams", timeout=30).status_code)
        except requests.ConnectionError:
            time.sleep(0.05)
    assert answers <= {503, 200}  # never a 404, which clients would take for final
    localstack.wait_until_ready()

    assert numbers(localstack, STREAM) == [*before, 1, 2, 3]  # Kinesis writes its data when its parent dies
    wait_for("the sink to resume", lambda: "PUT /connectors/sink/resume" in connect.backend.calls(), 20)
    changes = [call for call in connect.backend.calls() if not call.startswith("GET")]
    assert changes == [
        "PUT /connectors/sink/stop",
        "DELETE /connectors/sink/offsets",
        "PUT /connectors/sink/resume",
    ]
    assert client(localstack.profile, "s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_its_log_is_quiet(localstack: LocalStack) -> None:
    # While Kinesis was gone, each request that asked for it has a line, and nobody knows how many there were.
    refused = "exception during call chain"
    lines = [line for line in localstack.printed().splitlines() if refused not in line]
    assert len(lines) < 30


def test_a_replay_that_fails_is_shown_and_goes_on(localstack: LocalStack, connect: FakeConnect) -> None:
    usual, calls = connect.backend.answer, len(connect.backend.seen)
    connect.backend.answer = lambda seen: (200, {"nobody": "thought of this"})
    localstack.stop(signal.SIGTERM)
    localstack.launch()
    deadline, said = time.monotonic() + 90, ""
    while "replay" not in said:
        assert time.monotonic() < deadline, said
        try:
            SERVICE.probe(localstack.profile)
        except NotReady as error:
            said = error.what
        time.sleep(0.2)
    assert "replay of the topics into S3 has been failing since " in said
    assert "KeyError: 'offsets'" in said
    assert "see: make logs S=localstack" in said
    connect.offsets, connect.backend.answer = [{"partition": {}, "offset": {}}], usual
    localstack.wait_until_ready()
    assert "PUT /connectors/sink/resume" in connect.backend.calls()[calls:]


def test_ended_it_leaves_no_process_and_keeps_kinesis(localstack: LocalStack) -> None:
    put(localstack, 4)
    before = numbers(localstack, STREAM)
    assert localstack.stop(signal.SIGTERM) < 30
    (data,) = (localstack.profile.home / "localstack").rglob("kinesis/*.json")
    shards = json.loads(data.read_text())["streams"][f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"]
    assert sum(len(records) for records in shards["shards"].values()) == len(before)


def test_told_to_end_it_ends_also_when_nobody_reads_its_output_any_more(
    tmp_path: Path, rest_proxy: Backend, connect: FakeConnect
) -> None:
    """As after supervisord was killed, which reads the services' output."""
    read, write = os.pipe()
    localstack = LocalStack.create(tmp_path, rest_proxy.url, connect.backend.url)
    localstack.launch(write)
    os.close(write)
    try:
        localstack.wait_until_ready()
        os.close(read)
        assert localstack.stop(signal.SIGTERM) < 30
    finally:
        if localstack.is_alive():
            localstack.kill_all()
