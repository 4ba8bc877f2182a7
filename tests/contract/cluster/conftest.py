"""One cluster and one S3 for all tests of this folder, and notebooks as the workspace runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import boto3
import pytest
import requests

from foundation.profile import Profile
from services.spark import native
from tests.contract.notebook.bench import Bench
from tests.servers.service import Running, write_profile

ACCESS_KEY = "AKIAOFTHETEST"
SECRET_KEY = "a/secret+of:the=test"
"""With all that must be encoded in a URL, and easily found where it must not be."""


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
    secrets = {"KEY": ACCESS_KEY, "SECRET": SECRET_KEY, "TOKEN": "t0ken"}
    os.environ |= {f"PINFLOW_CLUSTER_{name}": value for name, value in secrets.items()}
    profile = write_profile(
        home, "localstack", "spark",
        aws__access_key_id="${PINFLOW_CLUSTER_KEY}", aws__secret_access_key="${PINFLOW_CLUSTER_SECRET}",
        databricks__token="${PINFLOW_CLUSTER_TOKEN}",
    )  # fmt: skip
    localstack, cluster = Running("localstack", profile), Running("spark", profile)
    try:
        with ThreadPoolExecutor() as both:
            list(both.map(Running.start, (localstack, cluster)))
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
