"""One cluster and one S3 for all tests of this folder, and notebooks as the workspace runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
import requests
import yaml

from foundation.profile import ROOT, Profile, load
from services.spark import native
from tests.contract.kafka.running import Running
from tests.contract.notebook.bench import Bench

ACCESS_KEY = "AKIAOFTHETEST"
SECRET_KEY = "a/secret+of:the=test"
"""With all that must be encoded in a URL, and easily found where it must not be."""
PATIENCE = 180.0


@dataclass(frozen=True)
class Control:
    """The cluster's control endpoint, asked directly."""

    url: str
    token: str

    def __call__(self, call: str, **values: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.post(f"{self.url}{call}", json=values, headers=headers, timeout=120)


@dataclass(frozen=True)
class World:
    """The cluster, its S3, and notebooks on it."""

    cluster: Running
    bench: Bench
    control: Control
    s3: Any

    @property
    def profile(self) -> Profile:
        return self.cluster.profile

    @property
    def bucket(self) -> str:
        return self.profile.storage.bucket

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Key to content, as boto3 sees it."""
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {o["Key"]: self.s3.get_object(Bucket=self.bucket, Key=o["Key"])["Body"].read() for o in found}

    def put(self, key: str, body: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())

    def mount(self, point: str, prefix: str = "") -> str:
        """The cell that mounts the bucket as most notebooks do."""
        source = f"s3n://{ACCESS_KEY}:{quote(SECRET_KEY, safe='')}@{self.bucket}{prefix}"
        return f"dbutils.fs.mount({source!r}, {point!r})"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("cluster")
    profile = _profile(home)
    localstack = Running("localstack", profile, home / "localstack.log")
    cluster = Running("spark", profile, home / "spark.log")
    try:
        with ThreadPoolExecutor() as both:
            list(both.map(lambda service: service.start(PATIENCE), (localstack, cluster)))
        control = Control(native.control_url(profile), profile.databricks.token.get_secret_value())
        s3 = boto3.client(
            "s3",
            endpoint_url=profile.aws.endpoint_url,
            region_name=profile.aws.region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        bench = Bench(home / "bench", profile.spark.remote, control)
        yield World(cluster, bench, control, s3)
        bench.stop()
    finally:
        cluster.stop()
        localstack.stop()


def _profile(home: Path) -> Profile:
    os.environ |= {"PINFLOW_TEST_KEY": ACCESS_KEY, "PINFLOW_TEST_SECRET": SECRET_KEY, "PINFLOW_TEST_TOKEN": "t0ken"}
    document = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    document["aws"] |= {
        "endpoint_url": "http://127.0.0.1:20110",
        "access_key_id": "${PINFLOW_TEST_KEY}",
        "secret_access_key": "${PINFLOW_TEST_SECRET}",
    }
    document["databricks"]["token"] = "${PINFLOW_TEST_TOKEN}"
    document["spark"]["remote"] = "sc://127.0.0.1:20120"
    document["rest_proxy"]["url"] = document["connect"]["url"] = "http://127.0.0.1:9"
    document["stack"] |= {"directory": str(home / "state"), "services": ["localstack", "spark"]}
    path = home / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(str(path))
