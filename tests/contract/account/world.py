"""A pipeline in small: Kafka and the sink made up record by record, S3 by moto, real loads into real Delta tables.

The sink of this world commits as the real one was measured, and as ours does: the offset stays behind the last object
of a partition, whatever was skipped after that.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from emulator.books import Books
from foundation import packages
from foundation.aws import client
from foundation.profile import ROOT, Profile, load
from pinflow import instance
from pinflow.account.offsets import Span
from pinflow.account.topics import Partition
from services.spark.native import warehouse
from tests.contract.emulator import database

KINDS = ("pin", "geo", "user")
KEYS = {"pin": "index", "geo": "ind", "user": "ind"}


class Loads:
    """The process that loads; see loads.py."""

    def __init__(self, directory: Path) -> None:
        command = [str(packages.python("spark")), str(Path(__file__).with_name("loads.py")), str(directory)]
        self._log = (directory.parent / "loads.log").open("w")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=ROOT
        )
        assert self._answer() == "ready"

    def load(self, uid: str, name: str, source: Path) -> dict[str, Any]:
        assert self._process.stdin
        print(json.dumps([uid, name, str(source)]), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = self._answer()
        assert "error" not in answer, answer
        return answer

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)
        self._log.close()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, Path(self._log.name).read_text()[-3000:]
        return json.loads(line)


def value(kind: str, number: int, variant: int = 0) -> bytes:
    """A record that fits; another variant is another row of the same post."""
    row = getattr(database, kind)(number)
    text = {"pin": "title", "geo": "country", "user": "first_name"}[kind]
    row[text] = f"{row[text]} {variant}"
    return json.dumps({k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}).encode()


def unfit(kind: str, number: int) -> bytes:
    """JSON that does not fit the table, with the number of a post that may well be there."""
    return json.dumps({KEYS[kind]: number, "nothing": "else"}).encode()


@dataclass
class Expected:
    """What a reader of the records alone says of a topic."""

    records: int = 0
    dead: int = 0
    nulls: int = 0
    lines: int = 0
    posts: set[int] = field(default_factory=set)
    unfit: int = 0


class World:
    """One user's topics, bucket, and tables."""

    def __init__(self, directory: Path, moto: str, loads: Loads, home: Path, uid: str) -> None:
        self._loads, self.uid = loads, uid
        self.expected = {kind: Expected() for kind in KINDS}
        self.partitions: dict[str, dict[int, Partition]] = {}
        self._values: dict[str, list[bytes | None]] = {f"{uid}.{kind}": [] for kind in KINDS}
        self._read: Counter[str] = Counter()
        self.source = directory / "topics"
        self.source.mkdir(parents=True)
        self.profile = self._profile(directory, moto, home)
        self.s3 = client(self.profile, "s3")
        self.s3.create_bucket(Bucket=self.profile.storage.bucket)

    def _profile(self, directory: Path, moto: str, home: Path) -> Profile:
        file = instance.write("local", directory / "p.yaml", home, 10_000)
        document = yaml.safe_load(file.read_text())
        document["uid"] = self.uid
        document["aws"]["endpoint_url"] = moto
        document["database"] = {
            "url": database.create(directory / "posts.db", range(5)).render_as_string(), "password": None,
        }  # fmt: skip
        file.write_text(yaml.safe_dump(document))
        return load(str(file))

    def post(self, kind: str, records: list[tuple[str, int, int]]) -> None:
        """Kind of record (good, unfit, not JSON, null), a post's number and a variant; each goes to Kafka."""
        topic, expected = f"{self.uid}.{kind}", self.expected[kind]
        partition = self.partitions.setdefault(topic, {}).setdefault(0, Partition())
        books = Books(self.profile.home)
        for what, number, variant in records:
            made = {
                "good": value(kind, number, variant),
                "unfit": unfit(kind, number),
                "not JSON": b"%d is not JSON {" % number,
                "null": None,
            }[what]
            self._values[topic].append(made)
            expected.records += 1
            expected.dead += what == "not JSON"
            expected.nulls += what == "null"
            expected.unfit += what == "unfit"
            expected.lines += what in ("good", "unfit")
            if what == "good":
                expected.posts.add(number)
        partition.end = len(self._values[topic])
        books.acknowledged(topic, len(records))
        books.close()

    def sink(self, kind: str, flush: int, letters: bool = True) -> None:
        """Write what Kafka holds in objects of ``flush`` records; without ``letters`` nulls are left out in silence."""
        topic = f"{self.uid}.{kind}"
        partition = self.partitions.setdefault(topic, {}).setdefault(0, Partition())
        values, lines, start, written = self._values[topic], list[bytes](), 0, self._read[topic]
        for offset in range(self._read[topic], len(values)):
            made = values[offset]
            if made is None or made.endswith(b"{"):
                if made:
                    partition.dead.add(offset)
                elif letters:
                    partition.nulls.add(offset)
                continue
            start = start if lines else offset
            lines.append(made)
            if len(lines) >= flush:
                self._put(topic, start, lines)
                lines, written = [], offset + 1
        if lines:
            self._put(topic, start, lines)
            written = len(values)
            while values[written - 1] is None or values[written - 1].endswith(b"{"):  # type: ignore[union-attr]
                written -= 1
        self._read[topic] = len(values)
        partition.committed = written

    def _put(self, topic: str, start: int, lines: list[bytes]) -> None:
        body = b"".join(line + b"\n" for line in lines)
        name = f"partition=0/{topic}+0+{start:010}.json"
        self.s3.put_object(Bucket=self.profile.storage.bucket, Key=f"topics/{topic}/{name}", Body=body)
        file = self.source / topic / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)

    def batch(self) -> None:
        """Load the tables of all topics that have objects."""
        for kind in KINDS:
            if (self.source / f"{self.uid}.{kind}").is_dir():
                self._loads.load(self.uid, kind, self.source)

    def delete_object(self, kind: str) -> None:
        """Lose the first object of a topic."""
        prefix = f"topics/{self.uid}.{kind}/"
        found = self.s3.list_objects_v2(Bucket=self.profile.storage.bucket, Prefix=prefix)["Contents"]
        self.s3.delete_object(Bucket=self.profile.storage.bucket, Key=found[0]["Key"])

    def table(self, name: str) -> Path:
        return warehouse(self.profile) / f"{self.uid}_{name}"

    def delete_tables(self) -> None:
        for table in warehouse(self.profile).glob(f"{self.uid}_*"):
            shutil.rmtree(table)

    @contextmanager
    def topics(self, profile: Profile) -> Iterator[World]:
        """In place of Kafka, with what Topics is asked."""
        for topic in profile.topics:
            self.partitions.setdefault(topic, {})
        yield self

    def refresh(self) -> None:
        """Nothing: all is in ``partitions``."""

    def read(self, topic: str, number: int, spans: list[Span]) -> None:
        for start, stop in spans:
            nulls = (offset for offset in range(start, stop) if self._values[topic][offset] is None)
            self.partitions[topic][number].nulls.update(nulls)
