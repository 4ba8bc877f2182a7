"""`python -m services.connect.connector PROFILE_FILE`: create or change the S3 sink connector of the profile.

The same JSON and the same REST calls serve the real Kafka Connect and the stand-in.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.connect import ConnectError, Connector, cause, parts
from foundation.errors import NotReady, PinflowError
from foundation.profile import Profile, load

TEMPLATE = Path(__file__).with_name("s3-sink.json")
SETTLED = 1.0  # seconds for which a state must be seen: right after a call it can be the old one


def render(profile: Profile, store_url: str | None = None) -> dict[str, str]:
    """services/connect/s3-sink.json with ${uid}, ${bucket}, ${region} and ${store_url} filled in from the profile.

    ``store_url`` is the address of S3 for the worker, by default `aws.endpoint_url`; on AWS itself, where that is
    null, the option is omitted.
    """
    address = store_url or profile.aws.endpoint_url
    template: dict[str, str] = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    if address is None:
        del template["store.url"]
    values = {
        "uid": profile.uid,
        "bucket": profile.storage.bucket,
        "region": profile.aws.region,
        "store_url": address or "",
    }
    return {name: string.Template(value).substitute(values) for name, value in template.items()}


def of(profile: Profile) -> Connector:
    """The profile's connector in the worker's REST API."""
    return Connector(profile.connect.url, profile.connect.connector)


def put(profile: Profile, store_url: str | None = None) -> str:
    """Make the connector exist with this configuration and its tasks run; returns what was done.

    Raises PinflowError with the worker's answer if it refuses.
    """
    with _errors():
        return f"connector {profile.connect.connector}: {of(profile).apply(render(profile, store_url))}"


def configuration(profile: Profile) -> dict[str, str]:
    """The connector's configuration as the worker has it; empty if there is no connector."""
    with _errors():
        return of(profile).configuration()


def check_running(profile: Profile) -> None:
    """Raise NotReady unless the connector exists and all its tasks run; health is their state, not HTTP's."""
    name = profile.connect.connector
    with _errors():
        status = of(profile).status()
    if not parts(status):
        raise NotReady(f"connector {name}: not created yet")
    for part in parts(status):
        if part["state"] != "RUNNING":
            which, why = f"task {part['id']}" if "id" in part else "the connector", cause(part)
            raise NotReady(f"connector {name}: {which} is {part['state']}" + (f": {why}" if why else ""))
    if not status["tasks"]:
        raise NotReady(f"connector {name}: no tasks yet")


def wait_running(profile: Profile, seconds: float = 60) -> None:
    """Wait until all tasks run; raises PinflowError with the reason of one that stays failed, or at the timeout.

    After a call the worker shows the old states for a while (see LAG in worker.py; the real one for up to a second).
    """
    began = time.monotonic()
    failed_since: float | None = None
    while True:
        now = time.monotonic()
        try:
            check_running(profile)
            if now - began > SETTLED:
                return
        except NotReady as error:
            failed_since = (failed_since or now) if "FAILED" in error.what else None
            stays_failed = failed_since is not None and now - failed_since > SETTLED
            if stays_failed or now - began > seconds:
                raise PinflowError(error.what, _advice(profile, error.what)) from None
        time.sleep(0.2)


def _advice(profile: Profile, why: str) -> str:
    if "Non-existent S3 bucket" in why or "NoSuchBucket" in why:
        return (
            f"the bucket {profile.storage.bucket} does not exist at {profile.aws.endpoint_url or 'AWS'}: create the "
            "resources of localstack/ (make up does), then run this again"
        )
    return f"see {of(profile).url}/status"


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ConnectError as error:
        fix = "is it running? see make status" if error.status is None else ""
        raise PinflowError(f"Kafka Connect: {error}", fix) from None


def main() -> None:
    """Put the connector and wait until it runs."""
    parser = argparse.ArgumentParser(prog="python -m services.connect.connector", description=__doc__)
    parser.add_argument("profile", help="a profile's name or file")
    parser.add_argument("--store-url", help="the address of S3 for the worker, if not aws.endpoint_url")
    arguments = parser.parse_args()
    try:
        profile = load(arguments.profile)
        print(put(profile, arguments.store_url))
        wait_running(profile)
    except PinflowError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
