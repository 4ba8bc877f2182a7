"""Deploy localstack/template.yaml to where the profile points: AWS, or a LocalStack that runs.

LocalStack itself deploys it at each of its starts (ready.d); there this only sees whether it changed since.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from pinflow.aws import client
from pinflow.errors import PinflowError
from pinflow.profile import ROOT, Profile, load
from services.localstack import cloudformation

TEMPLATE = ROOT / "localstack" / "template.yaml"


class DeployError(PinflowError):
    """The stack could not be made or changed; names the resource and the service's reason."""


def deploy(profile: Profile, say: Callable[[str], None]) -> dict[str, str]:
    """Bring the profile's stack to what the template says, wait for it, and return its outputs; repeatable.

    Raises DeployError.
    """
    where = profile.aws.endpoint_url or f"AWS, region {profile.aws.region}"
    say(f"stack pinflow-{profile.uid} on {where}: {TEMPLATE.relative_to(ROOT)}")
    try:
        in_place = profile.aws.endpoint_url is None
        return cloudformation.deploy(
            lambda service: client(profile, service), TEMPLATE, parameters(profile), in_place=in_place
        )
    except (cloudformation.StackFailed, ClientError, BotoCoreError) as error:
        raise DeployError(
            f"{TEMPLATE.relative_to(ROOT)} on {where}: {error}",
            "on one machine, restart LocalStack: it deploys the template as it starts (`make down up`); "
            "on AWS, `aws cloudformation describe-stack-events` says more",
        ) from None


def parameters(profile: Profile) -> dict[str, str]:
    """The template's parameters, from the profile."""
    return {
        "UserId": profile.uid,
        "BucketName": profile.storage.bucket,
        "DagBucketName": profile.storage.dag_bucket,
        "RestProxyUrl": profile.rest_proxy.url,
    }


if __name__ == "__main__":
    try:
        for name, value in deploy(load(sys.argv[1] if len(sys.argv) > 1 else "local"), print).items():
            print(f"{name} {value}")
    except PinflowError as problem:
        sys.exit(str(problem))
