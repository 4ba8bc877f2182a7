"""`python -m services.connect.connector PROFILE_FILE`: put the S3 sink connector of the profile, idempotently.

The same JSON and the same REST calls serve the real Kafka Connect and the stand-in.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
import time
from pathlib import Path
from typing import Any

import requests

from foundation.errors import NotReady, PinflowError
from foundation.profile import Profile, load

TEMPLATE = Path(__file__).with_name("s3-sink.json")
TIMEOUT = 30  # seconds for one call; stopping tasks takes a few
SETTLED = 1.0  # seconds for which a state must be seen: right after a call it can be that of before


def render(profile: Profile, store_url: str | None = None) -> dict[str, str]:
    """services/connect/s3-sink.json with ${uid}, ${bucket}, ${region} and ${store_url} filled in from the profile.

    ``store_url`` is where S3 is seen from the worker, by default `aws.endpoint_url`; on AWS itself, where that is
    null, the option is left out.
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


def put(profile: Profile, store_url: str | None = None) -> str:
    """Make the connector exist with this configuration and its tasks run; returns what was done.

    Raises PinflowError with the worker's answer if it refuses.
    """
    name = profile.connect.connector
    config = {**render(profile, store_url), "name": name}
    current = configuration(profile)
    if current != config:
        _call(profile, "PUT", f"/connectors/{name}/config", body=config)
        return f"connector {name}: {'changed' if current else 'created'}"
    found = status(profile)
    if "FAILED" in (part["state"] for part in (found.get("connector", {"state": None}), *found["tasks"])):
        _call(profile, "POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")
        return f"connector {name}: what had failed was restarted"
    return f"connector {name}: unchanged"


def url(profile: Profile) -> str:
    """The connector in the worker's REST API."""
    return f"{profile.connect.url}/connectors/{profile.connect.connector}"


def configuration(profile: Profile) -> dict[str, str]:
    """The connector's configuration as the worker has it; empty if there is no connector."""
    found: dict[str, str] = _call(profile, "GET", f"/connectors/{profile.connect.connector}/config", missing={})
    return found


def status(profile: Profile) -> dict[str, Any]:
    """The connector's status as the REST API gives it; `tasks` is empty if there is no connector."""
    name = profile.connect.connector
    answer: dict[str, Any] = _call(profile, "GET", f"/connectors/{name}/status", missing={"tasks": []})
    return answer


def check_running(profile: Profile) -> None:
    """Raise NotReady unless the connector exists and all its tasks run; health is their state, not HTTP's."""
    name = profile.connect.connector
    found = status(profile)
    if "connector" not in found:
        raise NotReady(f"connector {name}: not created yet")
    for part in (found["connector"], *found["tasks"]):
        if part["state"] != "RUNNING":
            which = f"task {part['id']}" if "id" in part else "the connector"
            why = reason(str(part.get("trace", "")))
            raise NotReady(f"connector {name}: {which} is {part['state']}" + (f": {why}" if why else ""))
    if not found["tasks"]:
        raise NotReady(f"connector {name}: no tasks yet")


def reason(trace: str) -> str:
    """The first line of a trace, with the second where the first only leads to it, and its innermost cause."""
    first, *others = trace.splitlines() or [""]
    if others and first.endswith(":"):
        first = f"{first} {others.pop(0)}"
    causes = [line for line in others if line.startswith("Caused by: ")]
    return "; ".join([first, *causes[-1:]])


def wait_running(profile: Profile, seconds: float = 60) -> None:
    """Wait until all tasks run; raises PinflowError with the reason of one that stays failed, or when the time is over.

    After a call the worker shows the old states for a while (see LAG in worker.py; the real one up to a second or so).
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
    return f"see {url(profile)}/status"


def _call(profile: Profile, method: str, path: str, *, body: Any = None, missing: Any = None) -> Any:
    """One REST call; ``missing`` is returned for a 404 if it is given. Raises PinflowError."""
    address = profile.connect.url + path
    try:
        response = requests.request(method, address, json=body, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise PinflowError(f"Kafka Connect: {method} {address}: {error}", "is it running? see make status") from None
    if response.status_code == 404 and missing is not None:
        return missing
    if not response.ok:
        raise PinflowError(f"Kafka Connect: {method} {address}: {response.status_code}: {_message(response)}")
    return response.json() if response.content else None


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text


def main() -> None:
    """Put the connector and wait until it runs."""
    parser = argparse.ArgumentParser(prog="python -m services.connect.connector", description=__doc__)
    parser.add_argument("profile", help="a profile's name or file")
    parser.add_argument("--store-url", help="where S3 is seen from the worker, if not at aws.endpoint_url")
    arguments = parser.parse_args()
    try:
        profile = load(arguments.profile)
        print(put(profile, arguments.store_url))
        wait_running(profile)
    except PinflowError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
