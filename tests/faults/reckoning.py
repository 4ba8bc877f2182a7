"""Where every record is, looked up with the clients of Kafka, S3, Kinesis and Delta alone, none of the product's code.

In Kafka = in S3 + dead letters, nulls among them; in S3 = in the table + in the quarantine, where of an `ind` that was
posted twice the table has one row; in Kinesis = in the stream's table + in its quarantine, record by record.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import boto3
import pyarrow as pa
from botocore.config import Config
from deltalake import DeltaTable
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from services.spark.native import warehouse
from tests import oracle
from tests.stack import TestStack

KEYS = {"pin": "index", "geo": "ind", "user": "ind"}
Places = Counter[tuple[int, int]]


@dataclass(frozen=True)
class Topic:
    """A topic's records by (partition, offset): JSON texts, and what is a dead letter: no JSON, or a null."""

    json: dict[tuple[int, int], str]
    dead: set[tuple[int, int]]


def topics(stack: TestStack) -> dict[str, Topic]:
    """Per kind what Kafka holds."""
    found = {}
    for kind, name in zip(KEYS, stack.profile.topics, strict=True):
        values = _records(stack, name)
        texts = {place: _canonical(record.value or b"") for place, record in values.items()}
        found[kind] = Topic(
            {place: text for place, text in texts.items() if text is not None},
            {place for place, text in texts.items() if text is None},
        )
    return found


def dead_letters(stack: TestStack) -> dict[str, Places]:
    """Per kind, which records of its topic the dead-letter topic holds; more than once is allowed after a kill."""
    kinds = dict(zip(stack.profile.topics, KEYS, strict=True))
    found = {kind: Places() for kind in KEYS}
    for record in _records(stack, f"dlq-{stack.profile.uid}").values():
        headers = {name.removeprefix("__connect.errors."): value.decode() for name, value in record.headers}
        found[kinds[headers["topic"]]][int(headers["partition"]), int(headers["offset"])] += 1
    return found


def lines(stack: TestStack) -> dict[str, dict[tuple[str, int], str]]:
    """Per kind, each line in S3 by (key, number from 1)."""
    return {
        kind: {
            (key, number): _canonical(line) or line.decode(errors="replace")
            for key, texts in stack.objects(topic).items()
            for number, line in enumerate(texts, 1)
        }
        for kind, topic in zip(KEYS, stack.profile.topics, strict=True)
    }


def missing_in_s3(stack: TestStack) -> str:
    """Where Kafka on one side and S3 and the dead letters on the other differ; empty where they agree."""
    wrong = []
    dead, landed = dead_letters(stack), lines(stack)
    for kind, topic in topics(stack).items():
        wanted, found = Counter(topic.json.values()), Counter(landed[kind].values())
        if wanted != found:
            wrong.append(
                f"{kind}: {wanted.total()} JSON records in Kafka, {found.total()} lines in S3; "
                f"missing {_some(wanted - found)}, too many {_some(found - wanted)}"
            )
        if topic.dead != set(dead[kind]):
            wrong.append(f"{kind}: no JSON in Kafka: {sorted(topic.dead)}, dead letters: {sorted(dead[kind])}")
    return "; ".join(wrong)


def streams(stack: TestStack) -> dict[str, dict[str, bytes]]:
    """Per kind, each record that Kinesis holds, by `<shard> <sequence number>`."""
    kinesis = _client(stack, "kinesis")
    found: dict[str, dict[str, bytes]] = {}
    for kind in KEYS:
        stream, found[kind] = f"streaming-{stack.profile.uid}-{kind}", {}
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
            name = shard["ShardId"]
            start: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
            while True:
                iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=name, **start)["ShardIterator"]
                records = kinesis.get_records(ShardIterator=iterator)["Records"]
                if not records:
                    break
                found[kind] |= {f"{name} {record['SequenceNumber']}": record["Data"] for record in records}
                last = records[-1]["SequenceNumber"]
                start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": last}
    return found


def missing_in_stream_tables(stack: TestStack) -> str:
    """Where Kinesis on one side, the streams' tables and quarantine on the other differ; empty where they agree."""
    wrong = []
    quarantine = stack.table("stream_quarantine")
    for kind, records in streams(stack).items():
        keys = {place: _key(kind, _canonical(data)) for place, data in records.items()}
        wanted = Counter(key for key in keys.values() if key is not None)
        found = Counter(row[0] for row in stack.table(f"{kind}_table"))
        if wanted != found:
            wrong.append(
                f"{kind}: {wanted.total()} records in Kinesis, {found.total()} rows; "
                f"missing {_some(wanted - found)}, too many {_some(found - wanted)}"
            )
        bad = Counter(place for place, key in keys.items() if key is None)
        held = Counter(row[2] for row in quarantine if row[0] == kind)
        if bad != held:
            wrong.append(f"{kind}: quarantine: missing {_some(bad - held)}, too many {_some(held - bad)}")
    return "; ".join(wrong)


def wrong_in_batch_tables(stack: TestStack) -> str:
    """Where the batch's tables, answers and quarantine are not what the lines in S3 and the source rows make."""
    wrong, landed = [], lines(stack)
    source = stack.source()
    rows = []
    for kind, table in zip(KEYS, source, strict=True):
        posts = {_key(kind, text) for text in landed[kind].values()}
        rows.append([row for row in source[table] if row[0] in posts])
    for name, expected in (oracle.tables(*rows) | oracle.answers(*rows)).items():
        actual = stack.table(name)
        if differences := oracle.compare(expected, sorted(actual, key=lambda r: r[0]) if name in KEYS else actual):
            wrong.append(f"{name}: {'; '.join(differences[:3])}")
    held = Counter((row[0], unquote(row[1]).rpartition("/")[2], row[2]) for row in stack.table("quarantine"))
    bad = Counter(
        (kind, key.rpartition("/")[2], f"line {n}")
        for kind, found in landed.items()
        for (key, n), text in found.items()
        if _key(kind, text) is None
    )
    if bad != held:
        wrong.append(f"quarantine: missing {_some(bad - held)}, too many {_some(held - bad)}")
    return "; ".join(wrong)


def newest_in_s3(stack: TestStack) -> int:
    """The lowest, over the topics, of the greatest key in the newest object; -1 for a topic without objects."""
    s3, newest = _client(stack, "s3"), []
    for kind, topic in zip(KEYS, stack.profile.topics, strict=True):
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=stack.profile.storage.bucket, Prefix=f"topics/{topic}/"
        )
        names = [item["Key"] for page in pages for item in page.get("Contents", [])]
        if not names:
            return -1
        body = s3.get_object(Bucket=stack.profile.storage.bucket, Key=max(names))["Body"].read()
        posts = [_key(kind, _canonical(line)) for line in body.splitlines()]
        newest.append(max((post for post in posts if post is not None), default=-1))
    return min(newest)


def newest_in_stream_tables(stack: TestStack) -> int:
    """The lowest, over the tables, of the greatest `ind`, as the tables' logs tell it."""
    return min(_greatest(stack, kind) for kind in KEYS)


def posts_in_kafka(stack: TestStack) -> dict[str, set[int]]:
    """Per kind the posts that its topic holds."""
    return {kind: _keys(kind, topic.json.values()) for kind, topic in topics(stack).items()}


def posts_in_kinesis(stack: TestStack) -> dict[str, set[int]]:
    """Per kind the posts that its stream holds."""
    return {kind: _keys(kind, map(_canonical, records.values())) for kind, records in streams(stack).items()}


def post_bad(stack: TestStack, number: int) -> str:
    """On each topic a record that is no JSON, one that does not fit and a null; in each stream one that is no JSON."""
    producer = KafkaProducer(bootstrap_servers=stack.profile.kafka.bootstrap_servers, max_block_ms=10_000)
    try:
        for topic in stack.profile.topics:
            for value in (b"{bad %d" % number, b'{"ind": "bad %d"}' % number, None):
                producer.send(topic, value, key=b"bad").get(timeout=20)
    finally:
        producer.close(timeout=5)
    kinesis = _client(stack, "kinesis")
    for kind in KEYS:
        name = f"streaming-{stack.profile.uid}-{kind}"
        kinesis.put_record(StreamName=name, Data=b"{bad %d" % number, PartitionKey="bad")
    return ""


def _records(stack: TestStack, topic: str) -> dict[tuple[int, int], Any]:
    consumer = KafkaConsumer(bootstrap_servers=stack.profile.kafka.bootstrap_servers, auto_offset_reset="earliest")
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        if not partitions:
            return {}
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        found: dict[tuple[int, int], Any] = {}
        deadline = time.monotonic() + 60
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: read {len(found)} records in 60 s, of {ends}")
            for records in consumer.poll(timeout_ms=1000).values():
                found |= {(record.partition, record.offset): record for record in records}
        return found
    finally:
        consumer.close()


def _client(stack: TestStack, service: str) -> Any:
    """Like `stack.client`, but one that soon gives up on a service that was just killed."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=stack.profile.aws.endpoint_url,
        region_name=stack.profile.aws.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2}),
    )


def _greatest(stack: TestStack, kind: str) -> int:
    table = DeltaTable(str(warehouse(stack.profile) / f"{stack.profile.uid}_{kind}_table"))
    files = pa.table(table.get_add_actions(flatten=True)).to_pydict()
    return max((greatest for greatest in files["max.ind"] if greatest is not None), default=-1)


def _canonical(data: bytes) -> str | None:
    """A JSON text with its keys in order, so that two writers' texts of one record are equal; None for no JSON."""
    try:
        return json.dumps(json.loads(data), sort_keys=True)
    except ValueError:
        return None


def _key(kind: str, text: str | None) -> int | None:
    """The post's number, None for what does not fit."""
    record = json.loads(text) if text else None
    key = record.get(KEYS[kind]) if isinstance(record, dict) else None
    return key if isinstance(key, int) else None


def _keys(kind: str, texts: Iterable[str | None]) -> set[int]:
    return {key for text in texts if (key := _key(kind, text)) is not None}


def _some(counter: Counter[Any]) -> str:
    shown = [str(item)[:60] for item in list(counter)[:5]]
    return f"{counter.total()}" + (f" ({', '.join(shown)})" if shown else "")
