"""LocalStack of these tests: its own ports and directory, with a REST proxy and a Connect that only take notes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, Self

import psutil
import pytest

from foundation.aws import client
from foundation.errors import NotReady
from foundation.profile import ROOT, Profile, load
from services.localstack.native import SERVICE

UID = "0123456789ab"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Seen:
    """One request as a backend got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Backend:
    """An HTTP server on loopback that notes what it gets; ``answer`` gives status and JSON body."""

    answer: Callable[[Seen], tuple[int, Any]]
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                backend.seen.append(seen)
                status, document = backend.answer(seen)
                answer = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.kafka.v2+json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def calls(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]


class FakeConnect:
    """The REST calls on one sink connector that has written up to some offset."""

    def __init__(self) -> None:
        self.state, self.offsets = "RUNNING", [{"partition": {"kafka_partition": 0}, "offset": {"kafka_offset": 7}}]
        self.backend = Backend(self.answer)

    def answer(self, seen: Seen) -> tuple[int, Any]:
        match seen.method, seen.path.rpartition("/")[2]:
            case "GET", "offsets":
                return 200, {"offsets": self.offsets}
            case "GET", "status":
                tasks = [] if self.state == "STOPPED" else [{"id": 0, "state": "RUNNING"}]
                return 200, {"connector": {"state": self.state}, "tasks": tasks}
            case "PUT", "stop":
                self.state = "STOPPED"
                return 204, None
            case "DELETE", "offsets":
                if self.state != "STOPPED":
                    return 400, {"message": "connector must be in the STOPPED state"}
                self.offsets = []
                return 200, {"message": "reset"}
            case "PUT", "resume":
                self.state = "RUNNING"
                return 202, None
        return 404, {"message": "not found"}


@dataclass
class Running:
    """A LocalStack as the stack starts it: `python -m pinflow.stack.launch localstack PROFILE`."""

    profile: Profile
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def write(cls, directory: Path, rest_proxy: str, connect: str) -> Self:
        endpoint = f"http://127.0.0.1:{free_port()}"
        path = directory / "profile.yaml"
        document = {
            "uid": UID,
            "aws": {
                "region": "us-east-1",
                "endpoint_url": endpoint,
                "access_key_id": "${PINFLOW_TEST_KEY:-test}",
                "secret_access_key": "${PINFLOW_TEST_KEY:-test}",
            },
            "database": {"url": "mysql+pymysql://pinflow@127.0.0.1:1/pinterest_data", "password": None},
            "api": {"invoke_url": f"{endpoint}/_aws/execute-api/pinflow/dev"},
            "kafka": {"bootstrap_servers": "127.0.0.1:1", "partitions": 1},
            "rest_proxy": {"url": rest_proxy},
            "connect": {"url": connect, "connector": "sink"},
            "storage": {"bucket": "user-<uid>-bucket", "dag_bucket": "dags-of-test"},
            "spark": {"remote": "sc://127.0.0.1:1"},
            "databricks": {
                "host": "http://127.0.0.1:1",
                "token": "${PINFLOW_DATABRICKS_TOKEN:-local}",
                "cluster_id": "c",
                "secrets": {},
            },
            "airflow": {
                "environment": "pinflow",
                "version": "3.2.1",
                "url": "http://127.0.0.1:1",
                "endpoint_url": "http://127.0.0.1:1",
            },
            "stack": {"directory": str(directory), "services": ["localstack"], "dump": None},
        }
        path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
        return cls(load(str(path)))

    def start(self, log: int | BinaryIO | None = None) -> Self:
        """Start it; its output goes to ``log``, otherwise to where `log()` reads it."""
        SERVICE.prepare(self.profile)
        log = (self.profile.path.parent / "localstack.log").open("ab") if log is None else log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pinflow.stack.launch", "localstack", str(self.profile.path)],
            cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        return self

    def wait(self) -> Self:
        deadline = time.monotonic() + 180
        while True:
            try:
                SERVICE.probe(self.profile)
                return self
            except NotReady as last:
                assert self.is_alive(), self.log()
                assert time.monotonic() < deadline, f"{last}\n{self.log()}"
                time.sleep(0.2)

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        return (self.profile.path.parent / "localstack.log").read_text(encoding="utf-8")

    def processes(self) -> list[psutil.Process]:
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def end(self, number: signal.Signals) -> float:
        """Send a signal to LocalStack's own process; returns the seconds until it and its children are gone."""
        processes = self.processes()
        assert self.process is not None
        begin = time.monotonic()
        os.kill(self.process.pid, number)
        self.process.wait(timeout=30)
        _, alive = psutil.wait_procs(processes, timeout=30)
        assert not alive, f"left behind: {alive}"
        return time.monotonic() - begin

    def kill_all(self) -> None:
        """SIGKILL to all its processes in one moment, as `docker kill` does."""
        processes = self.processes()
        for process in processes:
            process.suspend()  # or one that sees the end of another would still act on it
        for process in processes:
            process.kill()
        assert self.process is not None
        self.process.wait(timeout=30)
        psutil.wait_procs(processes, timeout=30)


@pytest.fixture(scope="session")
def rest_proxy() -> Backend:
    return Backend(lambda seen: (200, {"offsets": []}))


@pytest.fixture(scope="session")
def connect() -> FakeConnect:
    return FakeConnect()


@pytest.fixture(scope="session")
def localstack(
    tmp_path_factory: pytest.TempPathFactory, rest_proxy: Backend, connect: FakeConnect
) -> Iterator[Running]:
    running = Running.write(tmp_path_factory.mktemp("localstack"), rest_proxy.url, connect.backend.url)
    running.start().wait()
    yield running
    if running.is_alive():
        running.end(signal.SIGTERM)


@pytest.fixture(scope="session")
def in_image(tmp_path_factory: pytest.TempPathFactory, rest_proxy: Backend) -> Iterator[Running]:
    """LocalStack 4.14.0 as its image runs it, with a Connect of its own; skips where there is no Python 3.13."""
    from tests.contract.localstack.official import Official  # which is a Running, and needs this module

    running = Official.write(tmp_path_factory.mktemp("in-image"), rest_proxy.url, FakeConnect().backend.url)
    running.start().wait()
    yield running
    if running.is_alive():
        running.end(signal.SIGTERM)


def numbers(localstack: Running, stream: str) -> list[int]:
    """The `ind` of each record of a stream, sorted."""
    kinesis, found = client(localstack.profile, "kinesis"), []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while records := (answer := kinesis.get_records(ShardIterator=iterator, Limit=5000))["Records"]:
            found += [json.loads(record["Data"])["ind"] for record in records]
            iterator = answer["NextShardIterator"]
    return sorted(found)
