"""What lies at each hop of the batch path, counted at this moment from the hop itself."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from pinflow.aws import client
from pinflow.errors import NotReady, PinflowError, brief
from pinflow.profile import Profile
from services.spark.native import warehouse

SOURCE_TABLES = {"pin": "pinterest_data", "geo": "geolocation_data", "user": "user_data"}
KEYS = {"pin": "index", "geo": "ind", "user": "ind"}


@dataclass(frozen=True)
class TopicCount:
    """A topic and what came of it.

    records in Kafka, of which the sink has handled `landed`; objects and lines in S3; distinct posts among the
    lines (the key of those that are JSON objects with one); rows of the cleaned table, None when there is none.
    What cannot be seen from here is None.
    """

    name: str
    source_rows: int | None
    records: int | None
    landed: int | None
    objects: int
    lines: int | None
    posts: int | None
    rows: int | None


@dataclass(frozen=True)
class Counts:
    """All hops; ``unknown`` names those that did not answer, with the reason."""

    topics: list[TopicCount]
    quarantined: int | None
    dead_letters: int
    unknown: dict[str, str] = field(default_factory=dict)

    def disagreements(self) -> list[str]:
        """In words, where a hop does not hold what the one before it says it must; empty when all agree."""
        found = [f"{hop}: {reason}" for hop, reason in self.unknown.items()]
        for topic in self.topics:
            if topic.records is not None and topic.landed is not None and topic.lines is not None:
                if topic.landed < topic.records:
                    found.append(f"{topic.name}: {topic.records - topic.landed} records in Kafka are not yet in S3")
                elif topic.lines < topic.records - self.dead_letters:
                    found.append(f"{topic.name}: {topic.records} records in Kafka, {topic.lines} in S3")
            if topic.rows is None and topic.posts:
                found.append(f"{topic.name}: {topic.posts} posts in S3, no table yet: make batch")
            elif None not in (topic.rows, topic.posts) and topic.rows != topic.posts and not self.quarantined:
                found.append(f"{topic.name}: {topic.posts} posts in S3, {topic.rows} rows in the table: make batch")
        return found


def count(profile: Profile) -> Counts:
    """Ask every hop of the batch path, side by side; a hop that does not answer is named, not guessed.

    Of a bucket on AWS the objects are listed and not read: to read them all takes long and costs money.
    """
    hops: dict[str, Callable[[Profile], Any]] = {
        "MySQL": source_rows,
        "Kafka": topic_offsets,
        "S3": objects if profile.stack else listed,
        "tables": table_rows,
    }
    found: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        futures = {hop: pool.submit(ask, profile) for hop, ask in hops.items()}
        for hop, future in futures.items():
            try:
                found[hop] = future.result()
            except PinflowError as error:
                found[hop], unknown[hop] = {}, error.what
    topics = []
    for kind, topic in zip(SOURCE_TABLES, profile.topics, strict=True):
        records, landed = found["Kafka"].get(topic, (None, None) if "Kafka" in unknown else (0, 0))
        in_s3 = found["S3"].get(topic, ObjectCount())
        topics.append(
            TopicCount(
                topic,
                found["MySQL"].get(kind),
                records,
                landed,
                in_s3.objects,
                in_s3.lines if profile.stack else None,
                len(in_s3.posts) if profile.stack else None,
                found["tables"].get(kind),
            )
        )
    dead = found["Kafka"].get(dead_letter_topic(profile), (0, 0))[0]
    return Counts(topics, found["tables"].get("quarantine"), dead, unknown)


def source_rows(profile: Profile) -> dict[str, int]:
    """Rows of the three source tables, by kind (pin, geo, user)."""
    try:
        bounds = {"connect_timeout": 5} if profile.database.url.startswith(("mysql", "mariadb")) else {}
        engine = create_engine(profile.database.engine_url, connect_args=bounds)
        with engine.connect() as connection:
            return {
                kind: connection.execute(text(f"select count(*) from {table}")).scalar_one()
                for kind, table in SOURCE_TABLES.items()
            }
    except SQLAlchemyError as error:
        raise NotReady(f"{profile.database.url}: {brief(error)}") from None


def dead_letter_topic(profile: Profile) -> str:
    """Where the sink puts records that are not JSON."""
    return f"dlq-{profile.uid}"


@contextmanager
def kafka_consumer(profile: Profile, **settings: Any) -> Iterator[KafkaConsumer]:
    """A consumer of the profile's cluster; raises NotReady when the cluster does not answer."""
    consumer = None
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=profile.kafka.bootstrap_servers,
            bootstrap_timeout_ms=5000,
            **_security(profile),
            **settings,
        )
        yield consumer
    except (KafkaError, BotoCoreError) as error:  # BotoCoreError: of the credentials to sign in with
        raise NotReady(f"{profile.kafka.bootstrap_servers}: {brief(error)}") from None
    finally:
        if consumer is not None:
            consumer.close()


def _security(profile: Profile) -> dict[str, str]:
    """What a client of an MSK cluster with IAM needs; it signs with the keys of the profile, or boto's own chain."""
    if profile.kafka.security == "plaintext":
        return {}
    # kafka-python has no options for these, and asks boto.
    keys = (profile.aws.access_key_id, profile.aws.secret_access_key)
    if keys[0] and keys[1]:
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = (k.get_secret_value() for k in keys if k)
    elif boto3.session.Session().get_credentials() is None:
        raise NotReady("no AWS credentials to sign in to Kafka with (AWS_MSK_IAM)")
    os.environ["AWS_DEFAULT_REGION"] = profile.aws.region
    return {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}


def topic_offsets(profile: Profile) -> dict[str, tuple[int, int]]:
    """Per topic of this user: records written to it, and records of these that the sink has committed."""
    group = f"connect-{profile.connect.connector}"
    with kafka_consumer(profile, group_id=group, enable_auto_commit=False) as consumer:
        found = {}
        for topic in sorted(consumer.topics() & {*profile.topics, dead_letter_topic(profile)}):
            partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
            begin, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
            records = sum(end[p] - begin[p] for p in partitions)
            committed = (max(consumer.committed(p) or 0, begin[p]) - begin[p] for p in partitions)
            found[topic] = (records, sum(committed))
        return found


@dataclass
class ObjectCount:
    """Objects of a topic in S3, their lines, and the distinct keys in them."""

    objects: int = 0
    lines: int = 0
    posts: set[int] = field(default_factory=set)


def listed(profile: Profile) -> dict[str, ObjectCount]:
    """Per topic the number of its objects in the bucket."""
    return {topic: ObjectCount(objects=len(keys)) for topic, keys in _keys(profile).items()}


def objects(profile: Profile) -> dict[str, ObjectCount]:
    """Per topic what lies in the bucket; every object is read, since only its lines tell its records."""
    s3, bucket, every = client(profile, "s3"), profile.storage.bucket, _keys(profile)
    found = {}
    try:
        for kind, topic in zip(KEYS, profile.topics, strict=True):
            keys = every[topic]
            total = ObjectCount(objects=len(keys))
            with ThreadPoolExecutor(8) as pool:
                for body in pool.map(lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read(), keys):
                    _count_lines(body, KEYS[kind], total)
            found[topic] = total
    except (BotoCoreError, ClientError) as error:
        raise NotReady(f"s3://{bucket}: {brief(error)}") from None
    return found


def _keys(profile: Profile) -> dict[str, list[str]]:
    bucket, pages = profile.storage.bucket, client(profile, "s3").get_paginator("list_objects_v2")
    try:
        return {
            topic: [
                item["Key"]
                for page in pages.paginate(Bucket=bucket, Prefix=f"topics/{topic}/")
                for item in page.get("Contents", [])
            ]
            for topic in profile.topics
        }
    except (BotoCoreError, ClientError) as error:
        raise NotReady(f"s3://{bucket}: {brief(error)}") from None


def _count_lines(body: bytes, key: str, total: ObjectCount) -> None:
    for line in body.splitlines():
        total.lines += 1
        try:
            post = json.loads(line)
        except ValueError:
            continue
        if isinstance(post, dict) and isinstance(post.get(key), int):
            total.posts.add(post[key])


def table_rows(profile: Profile) -> dict[str, int]:
    """Rows of the cleaned tables and the quarantine, by kind; a table that does not exist is left out."""
    tables = {kind: _table(profile, kind) for kind in (*SOURCE_TABLES, "quarantine")}
    return {kind: table.count() for kind, table in tables.items() if table}


def stream_rows(profile: Profile) -> dict[str, int]:
    """Rows of the streams' tables, by kind, and of their quarantine, by `<kind> quarantined`."""
    found = {}
    for kind in SOURCE_TABLES:
        if table := _table(profile, f"{kind}_table"):
            found[kind] = table.count()
    if quarantine := _table(profile, "stream_quarantine"):
        kinds = quarantine.to_pyarrow_table(columns=["table"]).column("table").to_pylist()
        found |= {f"{kind} quarantined": kinds.count(kind) for kind in SOURCE_TABLES}
    return found


def _table(profile: Profile, name: str) -> DeltaTable | None:
    if profile.stack is None:  # it lies in Databricks' own storage
        return None
    try:
        return DeltaTable(str(warehouse(profile) / f"{profile.uid}_{name}"))
    except (TableNotFoundError, OSError):
        return None


def wait_until_landed(profile: Profile, timeout: float, say: Callable[[str], None]) -> None:
    """Wait until the sink has committed all that the topics hold now; PinflowError after `timeout` seconds.

    A sink that does not run here is not waited for: MSK's brokers are reached from inside their VPC only, and MSK
    Connect names its consumer groups as it likes.
    """
    if profile.stack is None:
        say(f"taking what is in s3://{profile.storage.bucket} now; make doctor says how old the newest object is")
        return
    began = said = time.monotonic()
    wanted = {topic: records for topic, (records, _) in topic_offsets(profile).items() if topic in profile.topics}
    while True:
        offsets = topic_offsets(profile)
        missing = sum(max(0, records - offsets[topic][1]) for topic, records in wanted.items())
        if not missing:
            return
        now = time.monotonic()
        if now - began > timeout:
            raise PinflowError(
                f"S3 sink: after {timeout:.0f} s {missing:,} records are not in s3://{profile.storage.bucket}",
                "make status shows the connector's state; make logs S=connect its reason",
            )
        if now - said > 2:
            say(f"waiting for the S3 sink: {missing:,} records to go")
            said = now
        time.sleep(0.3)


def wait_until_refilled(profile: Profile, timeout: float, say: Callable[[str], None]) -> None:
    """After LocalStack lost S3, wait until its hook has reset the sink; `timeout` seconds at most.

    Seen from outside: the sink has committed records of a topic of which no object is there.
    """
    s3, began = client(profile, "s3"), time.monotonic()
    while time.monotonic() - began < timeout:
        committed = [t for t, (_, landed) in topic_offsets(profile).items() if landed and t in profile.topics]
        prefixes = [f"topics/{topic}/" for topic in committed]
        bucket = profile.storage.bucket
        if all(s3.list_objects_v2(Bucket=bucket, Prefix=p, MaxKeys=1).get("KeyCount") for p in prefixes):
            return
        say("S3 was lost with LocalStack: waiting until the sink writes again what Kafka holds")
        time.sleep(1)
