"""Whether LocalStack runs what localstack/template.yaml says; AWS is pinflow/cloudformation/stack.py.

LocalStack itself deploys the template at each start (ready.d); this only sees whether it changed since.
"""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from foundation.aws import client
from foundation.errors import PinflowError
from foundation.profile import ROOT, Profile
from services.localstack import cloudformation

TEMPLATE = ROOT / "localstack" / "template.yaml"


class DeployError(PinflowError):
    """The stack could not be created or changed; names the resource and the service's reason."""


def deploy(profile: Profile, say: Callable[[str], None]) -> dict[str, str]:
    """Bring the profile's stack to what the template says, wait for it, and return its outputs; repeatable.

    Raises DeployError.
    """
    template, where = TEMPLATE.relative_to(ROOT), profile.aws.endpoint_url
    say(f"stack pinflow-{profile.uid} on {where}: {template}")
    parameters = {
        "UserId": profile.uid,
        "BucketName": profile.storage.bucket,
        "DagBucketName": profile.storage.dag_bucket,
        "RestProxyUrl": profile.rest_proxy.url,
    }
    try:
        return cloudformation.deploy(lambda service: client(profile, service), TEMPLATE, parameters)
    except (cloudformation.StackFailed, ClientError, BotoCoreError) as error:
        fix = "restart LocalStack: it deploys the template as it starts (`make down up`)"
        raise DeployError(f"{template} on {where}: {error}", fix) from None
