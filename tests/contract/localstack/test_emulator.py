"""The emulator's stream path into LocalStack: what people post is what a consumer of Kinesis reads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.aws import client
from foundation.profile import ROOT, load
from tests.contract.emulator.database import create, geo, pin, user
from tests.servers.localstack import LocalStack

UID = "fedcba987654"  # streams of its own: other tests look at what is in those of the stack
KINDS = {"pin": pin, "geo": geo, "user": user}


@dataclass
class World:
    """A profile with another user id, whose streams exist, and 600 rows to post."""

    profile: Path
    kinesis: Any

    def emulate(self, *options: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "emulator", "stream", "--profile", str(self.profile), "--json", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        summary: dict[str, Any] = json.loads(done.stdout)
        return summary

    def records(self, kind: str) -> list[dict[str, Any]]:
        stream, found = f"streaming-{UID}-{kind}", []
        for shard in self.kinesis.list_shards(StreamName=stream)["Shards"]:
            iterator = self.kinesis.get_shard_iterator(
                StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            found += self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return found


@pytest.fixture
def world(localstack: LocalStack, tmp_path: Path) -> Iterator[World]:
    document = yaml.safe_load(localstack.profile.path.read_text(encoding="utf-8"))
    database = create(tmp_path / "posts.db", range(600)).render_as_string()
    document |= {"uid": UID, "database": {"url": database, "password": None}}
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    kinesis = client(load(str(path)), "kinesis")
    for kind in KINDS:
        kinesis.create_stream(StreamName=f"streaming-{UID}-{kind}", StreamModeDetails={"StreamMode": "ON_DEMAND"})
        kinesis.get_waiter("stream_exists").wait(StreamName=f"streaming-{UID}-{kind}", WaiterConfig={"Delay": 1})
    yield World(path, kinesis)
    for kind in KINDS:
        kinesis.delete_stream(StreamName=f"streaming-{UID}-{kind}")


def as_sent(row: dict[str, Any]) -> bytes:
    plain = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("size", ["500", "1"], ids=["PutRecords", "PutRecord"])
def test_the_bytes_in_kinesis_are_the_rows_json_and_the_key_its_number(world: World, size: str) -> None:
    world.emulate("--order", "sequential", "--count", "20", "--batch-size", size)
    for kind, row in KINDS.items():
        found = {record["PartitionKey"]: json.loads(record["Data"]) for record in world.records(kind)}
        assert found == {str(number): json.loads(as_sent(row(number))) for number in range(20)}


def test_600_posts_are_600_records_in_each_stream(world: World) -> None:
    summary = world.emulate("--order", "sequential", "--count", "0")
    assert (summary["posts"], summary["records"], summary["failures"]) == (600, 1800, 0)
    for kind in KINDS:
        records = world.records(kind)
        assert sorted(int(record["PartitionKey"]) for record in records) == list(range(600))


def test_with_one_key_one_shard_holds_the_records_in_their_order(world: World) -> None:
    world.emulate("--order", "sequential", "--count", "300", "--batch-size", "100", "--partition-key", "partition-1")
    records = world.records("geo")
    assert [json.loads(record["Data"])["ind"] for record in records] == list(range(300))
    assert {record["PartitionKey"] for record in records} == {"partition-1"}
