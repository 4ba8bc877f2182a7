"""A whole stack of its own for tests: other ports, other directory, never the user's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pymysql
import yaml
from deltalake import DeltaTable

from foundation.profile import ROOT, Profile, load
from pinflow import instance
from services.spark.native import warehouse
from tests import containers
from tests.servers.waiting import wait_for

Row = tuple[Any, ...]


@dataclass(frozen=True)
class TestStack:
    """The stack under test and the ways to look at it that share no code with the product."""

    __test__ = False
    profile: Profile
    root: Path = ROOT
    """The checkout whose code runs."""

    @classmethod
    def create(cls, name: str, services: Sequence[str] = (), root: Path = ROOT) -> TestStack:
        """A fresh stack in .pinflow/tests/<name>; what an earlier run left there is ended and deleted first.

        It has all services of the local profile of the checkout ``root``, or those that are named.
        """
        directory, local = root / ".pinflow" / "tests" / name, str(root / "profiles" / "local.yaml")
        target = directory.with_suffix(".yaml")
        if target.exists():
            cls(load(str(target)), root).pinflow("reset", "--yes")
            target.unlink()
        # Two suites on one machine begin to look for ports at different places; all lie below those given to clients.
        start = 10_000 + os.getpid() % 140 * 50
        instance.write(local, target, directory, instance.free_offset(local, start))
        if services:
            document = yaml.safe_load(target.read_text(encoding="utf-8"))
            document["stack"]["services"] = [*services]
            target.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return cls(load(str(target)), root)

    def reloaded(self) -> TestStack:
        """The same stack with its profile read anew, after a test changed the file."""
        return replace(self, profile=load(str(self.profile.path)))

    @property
    def python(self) -> str:
        """The interpreter of the tool in the stack's checkout."""
        return sys.executable if self.root == ROOT else str(self.root / ".pinflow" / "envs" / "tool" / "bin" / "python")

    def pinflow(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `pinflow` as a person would; fails the test with its output when it fails."""
        return self.run(self.python, "-m", "pinflow", *arguments, check=check)

    def emulate(self, *arguments: str, command: str = "batch", check: bool = True) -> dict[str, Any]:
        """Run the emulator; returns its summary."""
        done = self.run(self.python, "-m", "emulator", command, "--json", *arguments, check=check)
        summary: dict[str, Any] = json.loads(done.stdout)
        return summary

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # Natively unless a test is told otherwise, also where a Docker engine answers.
        runtime = os.environ.get("RUNTIME") or "native"
        environment = {**os.environ, "PROFILE": str(self.profile.path), "RUNTIME": runtime}
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def connect(self) -> pymysql.Connection[Any]:
        """A plain connection to the source database, with the client's own library."""
        url = self.profile.database.engine_url
        return pymysql.connect(
            host=url.host,
            port=url.port or 3306,
            user=url.username or "",
            password=url.password or "",
            database=url.database,
        )

    def source(self) -> dict[str, list[Row]]:
        """All source rows, in the order of their key: pinterest_data, geolocation_data, user_data."""
        connection = self.connect()
        with connection, connection.cursor() as cursor:
            found = {}
            for table in ("pinterest_data", "geolocation_data", "user_data"):
                cursor.execute(f"select * from {table} order by 1")
                found[table] = list(cursor.fetchall())
            return found

    def objects(self, topic: str) -> dict[str, list[bytes]]:
        """Key to lines (with their ends) of every object of a topic."""
        s3 = self.client("s3")
        bucket, found = self.profile.storage.bucket, {}
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"topics/{topic}/"):
            for item in page.get("Contents", []):
                body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                found[item["Key"]] = body.splitlines(keepends=True)
        return found

    def client(self, service: str) -> Any:
        """boto3 itself, not the product's own way to it."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.profile.aws.endpoint_url,
            region_name=self.profile.aws.region,
            aws_access_key_id="test",
            aws_secret_access_key=os.environ.get("PINFLOW_AWS_SECRET_ACCESS_KEY", "test"),
        )

    def table(self, name: str) -> list[Row]:
        """All rows of `<uid>_<name>` as delta-rs reads them, timestamps as naive UTC."""
        table = DeltaTable(str(warehouse(self.profile) / f"{self.profile.uid}_{name}")).to_pyarrow_table()
        columns = [column.to_pylist() for column in table.columns]
        return [tuple(_plain(value) for value in row) for row in zip(*columns, strict=True)]

    def wait_for_rows(self, name: str, count: int, timeout: float = 120) -> list[Row]:
        """The rows of a table as soon as it has so many, or more."""
        wait_for(f"{count} rows in {name}", lambda: len(self.table(name)) >= count, timeout)
        return self.table(name)

    def services(self) -> list[str]:
        """The names of the services that it runs."""
        return list(self.profile.stack.services) if self.profile.stack else []

    def pid(self, service: str) -> int:
        """The service's process: in its container, or as it wrote it down when it started."""
        if in_containers():
            return containers.process(self.profile, service).pid
        return int((self.profile.home / "run" / f"{service}.pid").read_text().split()[0])

    def kill(self, service: str) -> None:
        """SIGKILL to the service's own process."""
        os.kill(self.pid(service), signal.SIGKILL)


def in_containers() -> bool:
    """Whether the stack under test runs in containers."""
    return os.environ.get("RUNTIME") == "compose"


def running(name: str, services: Sequence[str] = ()) -> Generator[TestStack]:
    """A stack that is up while a fixture lives, and wholly gone after it."""
    stack = TestStack.create(name, services)
    try:
        stack.pinflow("up")
        yield stack
    finally:
        logs = stack.profile.home / "logs"
        kept = Path(ROOT / ".pinflow" / "tests" / f"{name}-logs")
        subprocess.run(["rm", "-rf", str(kept)], check=False)
        if in_containers():
            kept.mkdir(parents=True)
            for service in stack.services():
                text = containers.docker("logs", containers.identity(stack.profile, service), check=False)
                (kept / f"{service}.log").write_text(text)
        elif logs.exists():
            subprocess.run(["cp", "-r", str(logs), str(kept)], check=False)
        stack.pinflow("reset", "--yes")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
