"""Recorded cases: what the real component answered, as data, and how a case is tried on anything that has a URL.

A case is a list of steps. `send` is one HTTP request with the answer that was recorded; `produce` writes to Kafka
behind the component's back; `kafka`, `committed` and `objects` say what must be there afterwards. README.md beside this
file describes every field. Texts may hold `{topic}` and the other names that a case is given.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import string
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

HERE = Path(__file__).resolve().parent
SINK = HERE.parents[1] / "services" / "connect" / "s3-sink.json"

# How a content type is written in the table.
TYPES = {
    "v2": "application/vnd.kafka.v2+json",
    "json": "application/vnd.kafka.json.v2+json",
    "binary": "application/vnd.kafka.binary.v2+json",
    "plain": "application/json",
}


@dataclass(frozen=True)
class Case:
    """One row of a table: its name, where its answer was recorded, what it needs, its steps.

    `stand_in` holds, by the number of a step, what the stand-in answers instead where it differs; `why` says why.
    """

    name: str
    source: str
    steps: list[dict[str, Any]]
    given: dict[str, Any] = field(default_factory=dict)
    stand_in: dict[int, dict[str, Any]] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Target:
    """What a case is tried on: a component's URL, the brokers behind it, and boto3's client of its S3 if it has one."""

    url: str
    brokers: str
    real: bool
    s3: Any = None


def load(component: str) -> list[Case]:
    """The cases of all tables of a component; a case of one step may have the step's fields as its own."""
    found = []
    tables = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((HERE / component).glob("*.yaml"))]
    for row in itertools.chain.from_iterable(tables):
        own = {name: row.pop(name) for name in ("name", "source", "given", "stand_in", "why") if name in row}
        steps = row.pop("steps", None) or [row]
        if "stand_in" in own and not all(isinstance(key, int) for key in own["stand_in"]):
            own["stand_in"] = {0: own["stand_in"]}
        found.append(Case(steps=steps, **own))
    names = [case.name for case in found]
    assert len(set(names)) == len(names), f"{component}: two cases have the same name"
    return found


class Attempt:
    """One case on one target. `run` gives a line for each difference; none is what was recorded."""

    def __init__(self, target: Target, names: Mapping[str, str]) -> None:
        self._target = target
        self._names = names
        if target.s3:
            self._names = {**names, "config": json.dumps(self._sink({}))}

    def run(self, case: Case) -> list[str]:
        """Carry the steps out in order; stops at the first one that differs, for the next ones build on it."""
        for number, step in enumerate(case.steps):
            if not self._target.real and number in case.stand_in:
                step = {**step, "answer": case.stand_in[number]}
            differences = self._step(step)
            if differences:
                return [f"step {number}, {_what(step)}: {difference}" for difference in differences]
        return []

    def _step(self, step: dict[str, Any]) -> list[str]:
        kinds: dict[str, Callable[[dict[str, Any]], list[str]]] = {
            "send": self._send,
            "config": self._config,
            "produce": self._produce,
            "kafka": self._kafka,
            "committed": self._committed,
            "objects": self._objects,
            "wait": self._wait,
        }
        (kind,) = kinds.keys() & step.keys()
        until = time.monotonic() + step.get("within", 0)
        while True:
            differences = kinds[kind](step)
            if not differences or time.monotonic() >= until:
                return differences
            time.sleep(0.1)

    def _send(self, step: dict[str, Any]) -> list[str]:
        method, path = self._fill(step["send"]).split(" ", 1)
        kind = TYPES["plain" if self._target.s3 else "v2"]
        headers = {"Accept": None, "Content-Type": kind, **step.get("headers", {})}
        began = time.monotonic()
        request = requests.Request(
            method, self._target.url, data=self._body(step), headers={k: TYPES.get(v, v) for k, v in headers.items()}
        )
        with requests.Session() as session:
            prepared = session.prepare_request(request)
            prepared.url = self._target.url + path  # as written: requests would tidy it up
            answer = session.send(prepared, timeout=120, allow_redirects=False)
        seconds = time.monotonic() - began
        return list(self._compare(answer, seconds, step["answer"]))

    def _config(self, step: dict[str, Any]) -> list[str]:
        """`config: {option: value}`: puts the connector `{connector}` with these changes; 201 unless `answer` says."""
        body = json.dumps(self._sink(step["config"]))
        answer = step.get("answer", {"status": 201})
        return self._send({"send": "PUT /connectors/{connector}/config", "body": body, "answer": answer})

    def _sink(self, changes: dict[str, str | None]) -> dict[str, str]:
        """s3-sink.json of this case without rotation, with one task and new topics found within half a second."""
        values = {"region": "us-east-1", "store_url": self._names["s3_url"], **self._names}
        texts: dict[str, str] = json.loads(SINK.read_text(encoding="utf-8"))
        config: dict[str, str | None] = {o: string.Template(text).substitute(values) for o, text in texts.items()}
        config |= {"tasks.max": "1", "consumer.override.metadata.max.age.ms": "500"}
        config |= {"rotate.schedule.interval.ms": None, **changes}
        return {name: self._fill(value) for name, value in config.items() if value is not None}

    def _body(self, step: dict[str, Any]) -> bytes | None:
        if "base64" in step:
            return base64.b64decode(step["base64"])
        body = step.get("body")
        if body is None:
            return None
        return self._fill(body if isinstance(body, str) else json.dumps(body)).encode()

    def _compare(self, answer: requests.Response, seconds: float, wanted: dict[str, Any]) -> Iterator[str]:
        if answer.status_code != wanted["status"]:
            yield f"status {answer.status_code}: {answer.text[:300]}, recorded {wanted['status']}"
            return
        if "type" in wanted:
            recorded = TYPES.get(wanted["type"], wanted["type"])
            given = answer.headers.get("content-type")
            if given != recorded:
                yield f"content type {given}, recorded {recorded}"
        for name, recorded in wanted.get("headers", {}).items():
            if answer.headers.get(name) != recorded:
                yield f"header {name}: {answer.headers.get(name)}, recorded {recorded}"
        if "text" in wanted and not re.search(self._fill(wanted["text"]), answer.text):
            yield f"text {answer.text[:300]!r}, recorded {wanted['text']!r}"
        if "seconds" in wanted and not wanted["seconds"][0] <= seconds <= wanted["seconds"][1]:
            yield f"after {seconds:.1f} s, recorded {wanted['seconds'][0]} to {wanted['seconds'][1]} s"
        if wanted.keys() & {"error_code", "message", "body", "has"}:
            try:
                document = answer.json()
            except ValueError:
                yield f"not JSON: {answer.text[:300]!r}"
                return
            recorded = {name: wanted[name] for name in ("error_code",) if name in wanted} | wanted.get("has", {})
            if "body" in wanted and document != self._filled(wanted["body"]):
                yield f"body {json.dumps(document)[:500]}, recorded {json.dumps(self._filled(wanted['body']))}"
            if recorded and not _holds(document, self._filled(recorded)):
                yield f"body {json.dumps(document)[:500]}, recorded {json.dumps(self._filled(recorded))}"
            if "message" in wanted and not re.search(self._fill(wanted["message"]), str(document.get("message"))):
                yield f"message {document.get('message')!r}, recorded {wanted['message']!r}"

    def _produce(self, step: dict[str, Any]) -> list[str]:
        """`produce: [text or null, …]` to `topic` (the case's own), `partition` (0)."""
        producer = KafkaProducer(bootstrap_servers=self._target.brokers)
        topic, partition = self._fill(step.get("topic", "{topic}")), step.get("partition", 0)
        for value in step["produce"]:
            data = None if value is None else self._fill(value).encode()
            producer.send(topic, data, key=step.get("key", "key").encode(), partition=partition)
        producer.flush(timeout=30)
        producer.close()
        return []

    def _kafka(self, step: dict[str, Any]) -> list[str]:
        """`kafka: {partition: [value, …]}`: exactly these records are there; all with `key` and `headers` if given."""
        topic = self._fill(step.get("topic", "{topic}"))
        differences = []
        for partition, wanted in step["kafka"].items():
            records = self._records(topic, partition)
            found = [None if r.value is None else r.value.decode() for r in records]
            if found != wanted:
                differences.append(f"partition {partition} holds {found}, recorded {wanted}")
            for record in records:
                headers = {name: value.decode() for name, value in record.headers}
                if "key" in step and record.key != step["key"].encode():
                    differences.append(f"key {record.key!r}, recorded {step['key']!r}")
                if not _holds(headers, self._filled(step.get("headers", {}))):
                    differences.append(f"headers {headers}, recorded {step['headers']}")
        return differences

    def _committed(self, step: dict[str, Any]) -> list[str]:
        """`committed: {partition: offset or null}` of the group `group`."""
        topic, group = self._fill(step.get("topic", "{topic}")), self._fill(step["group"])
        admin = KafkaAdminClient(bootstrap_servers=self._target.brokers)
        try:
            offsets = admin.list_group_offsets({group: None})[group]
        finally:
            admin.close()
        found = {place.partition: at.offset for place, at in offsets.items() if place.topic == topic}
        wanted = step["committed"]
        return [
            f"offset {found.get(partition)} of partition {partition} is committed, recorded {offset}"
            for partition, offset in wanted.items()
            if found.get(partition) != offset
        ]

    def _objects(self, step: dict[str, Any]) -> list[str]:
        """`objects: {key: number of lines}`: exactly these objects are in the bucket."""
        bucket = self._fill("{bucket}")
        listed = self._target.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        found = {
            item["Key"]: len(self._target.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().splitlines())
            for item in listed
        }
        wanted = {self._fill(key): lines for key, lines in step["objects"].items()}
        return [] if found == wanted else [f"objects {found}, recorded {wanted}"]

    def _wait(self, step: dict[str, Any]) -> list[str]:
        """`wait: seconds`, where the record is that nothing happens."""
        time.sleep(step["wait"])
        return []

    def _records(self, topic: str, partition: int) -> list[Any]:
        where = TopicPartition(topic, partition)
        consumer = KafkaConsumer(bootstrap_servers=self._target.brokers, auto_offset_reset="earliest")
        try:
            consumer.assign([where])
            end, found = consumer.end_offsets([where])[where], []
            while consumer.position(where) < end:
                found += consumer.poll(timeout_ms=1000).get(where, [])
            return found
        finally:
            consumer.close(autocommit=False)

    def _fill(self, text: str) -> str:
        """Put the case's names in, and `{x*3}` as xxx; braces of JSON stay."""
        text = re.sub(r"\{(\w)\*(\d+)\}", lambda match: match[1] * int(match[2]), text)
        return re.sub(r"\{(\w+)\}", lambda match: self._names.get(match[1], match[0]), text)

    def _filled(self, value: Any) -> Any:
        return json.loads(self._fill(json.dumps(value)))


def _holds(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is in what was found; a list must be as long."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and _holds(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted and isinstance(found, bool) == isinstance(wanted, bool))


def _what(step: dict[str, Any]) -> str:
    return str(step.get("send") or next(iter(step)))
