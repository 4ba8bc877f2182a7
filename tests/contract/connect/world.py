"""What surrounds the sink: Kafka, S3 and the REST API, as a test looks at them, without any code of the sink's."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import boto3
import requests
from botocore.config import Config
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from foundation.profile import ROOT, Profile
from tests.servers.service import Running
from tests.servers.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Record = bytes | None


class World:
    """A running Kafka, LocalStack and sink, shared by the tests of this folder."""

    def __init__(self, profile: Profile, kafka: Running, localstack: Running, sink: Running) -> None:
        self.profile = profile
        self.kafka = kafka
        self.localstack = localstack
        self.sink = sink
        self.url = profile.connect.url
        self.brokers = profile.kafka.bootstrap_servers
        self.s3: S3Client = boto3.client(
            "s3",
            endpoint_url=profile.aws.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 10}),
        )

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """One REST call."""
        return requests.request(method, self.url + path, json=body, timeout=60)

    def admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self.brokers)


class Pipe:
    """One test's own connector, bucket and topic. Use as a context manager: the connector is deleted at the end."""

    def __init__(self, world: World, partitions: int = 1, bucket: bool = True) -> None:
        self.world = world
        self.uid = uuid.uuid4().hex[:12]
        self.name = f"sink-{self.uid}"
        self.bucket = f"bucket-{self.uid}"
        self.topic = f"{self.uid}.pin"
        self.dead = f"dlq-{self.uid}"
        self.path = f"/connectors/{self.name}"
        self._producer = KafkaProducer(bootstrap_servers=world.brokers)
        self.create_topic(self.topic, partitions)
        if bucket:
            world.s3.create_bucket(Bucket=self.bucket)

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.world.call("DELETE", self.path)
        self._producer.close(timeout=2)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        admin = self.world.admin()
        admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}}, wait_for_metadata=True)
        admin.close()

    def config(self, **changes: str | None) -> dict[str, str]:
        """s3-sink.json for this test, without rotation; `flush__size="2"` sets flush.size, None removes an option."""
        text = (ROOT / "services" / "connect" / "s3-sink.json").read_text(encoding="utf-8")
        values = {
            "uid": self.uid,
            "bucket": self.bucket,
            "region": "us-east-1",
            "store_url": self.world.profile.aws.endpoint_url or "",
        }
        for name, value in values.items():
            text = text.replace(f"${{{name}}}", value)
        config: dict[str, str | None] = json.loads(text)
        config |= {"rotate.schedule.interval.ms": None, "tasks.max": "1", "name": self.name}
        config["consumer.override.metadata.max.age.ms"] = "500"
        config |= {name.replace("__", "."): value for name, value in changes.items()}
        return {name: value for name, value in config.items() if value is not None}

    def put(self, **changes: str | None) -> requests.Response:
        """PUT the connector's configuration."""
        return self.world.call("PUT", f"{self.path}/config", self.config(**changes))

    def send(self, values: Sequence[Record], topic: str | None = None, partition: int = 0) -> None:
        """Produce records, in order, and wait until Kafka has them."""
        for value in values:
            self._producer.send(topic or self.topic, value, key=b"key", partition=partition)
        self._producer.flush(timeout=30)

    def states(self) -> list[str]:
        """The tasks' states."""
        return [task["state"] for task in self.status().get("tasks", [])]

    def status(self) -> dict[str, Any]:
        """The status as the REST API gives it, also where that says that there is none yet."""
        status: dict[str, Any] = self.world.call("GET", f"{self.path}/status").json()
        return status

    def failure(self) -> str:
        """The trace of the first task that is FAILED."""

        def trace() -> str | None:
            return next((str(t["trace"]) for t in self.status().get("tasks", []) if t["state"] == "FAILED"), None)

        return str(wait_for("the task to fail", trace))

    def committed(self, topic: str | None = None, partition: int = 0) -> int | None:
        """The committed offset as the REST API tells it."""
        for entry in self.world.call("GET", f"{self.path}/offsets").json()["offsets"]:
            if entry["partition"] == {"kafka_topic": topic or self.topic, "kafka_partition": partition}:
                return int(entry["offset"]["kafka_offset"])
        return None

    def wait_committed(self, offset: int, topic: str | None = None, partition: int = 0, seconds: float = 40) -> None:
        wait_for(f"offset {offset} to be committed", lambda: self.committed(topic, partition) == offset, seconds)

    def objects(self) -> dict[str, bytes]:
        """All objects of the bucket: key → body."""
        # One page holds 1000. LocalStack 4.9 loses keys with a `+` on the next ones, so that they must not be needed.
        page = self.world.s3.list_objects_v2(Bucket=self.bucket)
        assert not page["IsTruncated"]
        return {item["Key"]: self._body(item["Key"]) for item in page.get("Contents", [])}

    def _body(self, key: str) -> bytes:
        return self.world.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def lines(self) -> Counter[bytes]:
        """Every line in the bucket, with the number of times that it is there."""
        return Counter(line for body in self.objects().values() for line in body.splitlines())

    def has(self, line: bytes) -> bool:
        """Whether the line is in the bucket."""
        return line in self.lines()

    def key(self, start: int, topic: str | None = None, partition: int = 0) -> str:
        name = topic or self.topic
        return f"topics/{name}/partition={partition}/{name}+{partition}+{start:010d}.json"

    def stop(self) -> None:
        """Stop the connector and wait until its tasks have ended."""
        assert self.world.call("PUT", f"{self.path}/stop").status_code == 204
        wait_for("it to be stopped", lambda: self.status().get("connector", {}).get("state") == "STOPPED")
        wait_for("the tasks to end", lambda: not self.states())

    def reset(self) -> None:
        """Let the connector begin again: stop, delete its offsets, resume."""
        self.stop()
        assert self.world.call("DELETE", f"{self.path}/offsets").status_code == 200
        assert self.world.call("PUT", f"{self.path}/resume").status_code == 202

    def dead_letters(self, count: int) -> list[Any]:
        """The first records of the dead-letter topic."""
        consumer = KafkaConsumer(
            self.dead, bootstrap_servers=self.world.brokers, auto_offset_reset="earliest", consumer_timeout_ms=20000
        )
        found = []
        for record in consumer:
            found.append(record)
            if len(found) == count:
                break
        consumer.close(autocommit=False)
        return found


def numbered(first: int, after: int) -> list[bytes]:
    """Distinct small JSON records."""
    return [b'{"n":%d}' % number for number in range(first, after)]
