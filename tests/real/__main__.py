"""The recorded cases on the real parts: `make test-real`.

Starts Kafka, the REST proxy, Kafka Connect with the S3 sink, and LocalStack out of docker-compose.yml, as a project of
its own on ports of its own, tries every case of tests/recorded on them and prints what differs. With RUNTIME=native or
docker-compose.packages.yml the same is done with the stand-ins, which tests this program.

Exit status: 0 all is as recorded, 1 something differs, 2 not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from typing import Any

from rich.console import Console

from tests.contract.connect.world import Pipe, World
from tests.contract.rest_proxy.client import Client
from tests.real.comparison import Difference, compare, table
from tests.recorded.cases import Attempt, Case, Target, load
from tests.stack import TestStack, in_containers, running

SERVICES = ("kafka", "rest_proxy", "localstack", "connect")


class NotRun(Exception):
    """There is nothing to try the cases on; the reason."""


def main() -> int:
    """Try all cases; returns the exit status."""
    runtime = os.environ["RUNTIME"] = os.environ.get("RUNTIME") or "compose"
    real = runtime == "compose" and "packages" not in os.environ.get("COMPOSE_FILE", "")
    try:
        if runtime == "compose":
            check_engine()
        differences = on_own_stack(real)
    except NotRun as reason:
        print(f"not run: {reason}")
        return 2
    cases = len(load("rest_proxy")) + len(load("connect"))
    parts = "the real parts" if real else "the stand-ins"
    print(f"{cases} cases on {parts}: {len({each.case for each in differences})} not as recorded")
    if differences:
        # As wide as a log takes it, where there is no terminal.
        Console(width=None if sys.stdout.isatty() else 200).print(table(differences))
    return 1 if differences else 0


def check_engine() -> None:
    """Raise NotRun where no Docker engine answers."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        raise NotRun("no Docker engine answers (`docker info`)")


def on_own_stack(real: bool) -> list[Difference]:
    """Start the parts, try the cases, remove the parts. Raises NotRun with what `make up` said when it fails."""
    print(f"starting {', '.join(SERVICES)}; images are pulled the first time", flush=True)
    stacks = running("real", SERVICES)
    try:
        stack = next(stacks)
    except AssertionError as error:
        raise NotRun(f"the parts did not start: {error}") from None
    try:
        return try_cases(stack, real)
    finally:
        stacks.close()


def try_cases(stack: TestStack, real: bool) -> list[Difference]:
    """Every case of both tables, each with a topic of its own and, for Connect, a connector and a bucket."""
    client = Client(stack.profile)
    # As Connect sees it.
    s3_url = "http://localstack:4566" if in_containers() else stack.profile.aws.endpoint_url or ""
    nobody: Any = None  # `up` has started them
    world = World(stack.profile, nobody, nobody, nobody)

    def on_rest_proxy(case: Case) -> list[str]:
        topic = client.new_topic(f"test.{uuid.uuid4()}", case.given.get("partitions", 1))
        names = {"topic": topic, "group": f"group-{uuid.uuid4()}", "absent": f"absent.{uuid.uuid4()}"}
        return Attempt(Target(client.url, client.brokers, real), names).run(case)

    def on_connect(case: Case) -> list[str]:
        with Pipe(world, case.given.get("partitions", 1)) as pipe:
            names = {
                "uid": pipe.uid,
                "topic": pipe.topic,
                "connector": pipe.name,
                "bucket": pipe.bucket,
                "dlq": pipe.dead,
            }
            names["s3_url"] = s3_url
            return Attempt(Target(world.url, world.brokers, real, s3=world.s3), names).run(case)

    return compare(load("rest_proxy"), on_rest_proxy) + compare(load("connect"), on_connect)


if __name__ == "__main__":
    sys.exit(main())
