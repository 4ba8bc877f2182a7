"""LocalStack's Kinesis and a Spark driver, each in a process that a test may kill."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from foundation.aws import client
from foundation.packages import python
from foundation.profile import ROOT
from tests.servers.backends import Backend, FakeConnect
from tests.servers.localstack import LocalStack
from tests.servers.process import kill_all
from tests.servers.waiting import wait_for

SECRET = "a-secret-of-the-test"
PATIENCE = 120.0
"""Seconds for one answer of Spark, on a machine that has much else to do."""


class SparkError(Exception):
    """What Spark said."""


@dataclass
class Driver:
    """`driver.py` in the spark environment; an attribute of this is a call there."""

    home: Path
    endpoint: str
    process: subprocess.Popen[str] = field(init=False)

    def start(self) -> None:
        folders = (ROOT / "services" / "spark" / name for name in ("kinesis", "workers"))
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
            "PYSPARK_PYTHON": str(python("spark")),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.home / "scratch"),
            "SPARK_CONF_DIR": str(self.home),
            "SPARK_DRIVER_MEMORY": "600m",
        }
        self.process = subprocess.Popen(
            [str(python("spark")), str(Path(__file__).parent / "driver.py"), str(self.home)],
            env=variables, cwd=self.home, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=(self.home / "spark.log").open("a"), start_new_session=True,
        )  # fmt: skip

    def wait(self) -> None:
        assert self._answer() == "ready"

    def call(self, method: str, /, **arguments: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, arguments]) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise SparkError(answer["error"])
        return answer["answer"]

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE), self.log()[-3000:]
        line = self.process.stdout.readline()
        assert line, self.log()[-3000:]
        return json.loads(line)

    def log(self) -> str:
        return (self.home / "spark.log").read_text(encoding="utf-8")

    def restart(self) -> None:
        self.kill()
        self.start()
        self.wait()

    def kill(self) -> None:
        """SIGKILL for the driver, its JVM and its Python workers, all at once."""
        kill_all(self.process)


@dataclass
class Query:
    """A query of the driver's, with a directory of its own; it can be started again and again."""

    driver: Driver
    home: Path
    options: dict[str, Any]
    name: str

    def load(self) -> Query:
        """Make it ready to start at once."""
        self.driver.call("load", name=self.name, options=self.options)
        return self

    def start(self, hold: str = "", **trigger: Any) -> Query:
        self.driver.call("start", name=self.name, options=self.options, home=str(self.home), hold=hold, **trigger)
        return self

    def stop(self) -> None:
        self.driver.call("stop", name=self.name)

    def drain(self) -> list[list[Any]]:
        """Run it with availableNow to its end; all rows that it has ever written."""
        return self.start(availableNow=True).drained()

    def drained(self) -> list[list[Any]]:
        """Wait until it has ended; all rows that it has ever written."""
        if error := self.ends():
            raise SparkError(error)
        return self.rows()

    def ends(self) -> str:
        error: str = self.driver.call("ends", name=self.name)
        return error

    def rows(self) -> list[list[Any]]:
        rows: list[list[Any]] = self.driver.call("rows", home=str(self.home))
        return rows

    def log(self, name: str) -> dict[int, str]:
        """What the checkpoint's log ``offsets`` or ``commits`` says of each micro-batch."""
        files = (self.home / "checkpoint" / name).glob("[0-9]*")
        return {int(path.name): path.read_text(encoding="utf-8") for path in files}

    def progress(self) -> dict[str, Any]:
        progress: dict[str, Any] = self.driver.call("progress", name=self.name)
        return progress

    def until(self, condition: Callable[[], bool], patience: float = 60) -> None:
        try:
            wait_for("the query", condition, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.progress()}\n{self.driver.log()[-2000:]}") from None


@dataclass
class Streams:
    """LocalStack's Kinesis: streams that nobody else uses."""

    localstack: LocalStack
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def kinesis(self) -> Any:
        return client(self.localstack.profile, "kinesis")

    def make(self, shards: int = 1) -> str:
        name = f"stream-{next(self.numbers)}"
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.settle(name)
        return name

    def settle(self, name: str) -> None:
        """Wait until the stream can be used again."""
        self.kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})

    def put(self, name: str, texts: list[str]) -> None:
        """A record of each text, which is its partition key too."""
        for begin in range(0, len(texts), 500):
            records = [{"Data": text, "PartitionKey": text} for text in texts[begin : begin + 500]]
            assert self.kinesis.put_records(StreamName=name, Records=records)["FailedRecordCount"] == 0

    def shards(self, name: str) -> list[dict[str, Any]]:
        shards: list[dict[str, Any]] = self.kinesis.list_shards(StreamName=name)["Shards"]
        return shards

    def split(self, name: str, shard: str) -> None:
        keys = next(s["HashKeyRange"] for s in self.shards(name) if s["ShardId"] == shard)
        middle = (int(keys["StartingHashKey"]) + int(keys["EndingHashKey"])) // 2
        self.kinesis.split_shard(StreamName=name, ShardToSplit=shard, NewStartingHashKey=str(middle))
        self.settle(name)

    def kill(self) -> None:
        """SIGKILL for LocalStack and its Kinesis at once: alone, that would still write its data."""
        self.localstack.kill_all()

    def merge(self, name: str, one: str, other: str) -> None:
        self.kinesis.merge_shards(StreamName=name, ShardToMerge=one, AdjacentShardToMerge=other)
        self.settle(name)


@pytest.fixture(scope="package")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, Driver]]:
    """Both, started at the same time."""
    proxy, connect = Backend(lambda seen: (200, {"offsets": []})), FakeConnect()
    localstack = LocalStack.create(tmp_path_factory.mktemp("localstack"), proxy.url, connect.backend.url)
    driver = Driver(tmp_path_factory.mktemp("spark"), str(localstack.profile.aws.endpoint_url))
    driver.start()
    localstack.start()
    driver.wait()
    yield localstack, driver
    driver.kill()
    localstack.stop()


@pytest.fixture(scope="package")
def streams(processes: tuple[LocalStack, Driver]) -> Streams:
    return Streams(processes[0])


@pytest.fixture(scope="package")
def driver(processes: tuple[LocalStack, Driver]) -> Driver:
    return processes[1]


@pytest.fixture
def query(driver: Driver, tmp_path: Path) -> Iterator[Callable[..., Query]]:
    """Makes a query of some streams; what still runs at the test's end is stopped."""
    made: list[Query] = []

    def make(stream: str, **options: Any) -> Query:
        given = {
            "streamName": stream,
            "initialPosition": "earliest",
            "region": "us-east-1",
            "awsAccessKey": "test",
            "awsSecretKey": SECRET,
            "minFetchPeriod": "200ms",
        }
        made.append(Query(driver, tmp_path / str(len(made)), given | options, f"{tmp_path.name}-{len(made)}"))
        return made[-1]

    yield make
    driver.call("stop_all")
