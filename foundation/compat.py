"""The one place that reaches into other projects' insides; tests/canaries/test_foundation.py watches each of them."""

from __future__ import annotations

from typing import Any

import botocore.session
from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.msk import SaslMechanismAwsMskIam


def sign_in_to_msk_with(region: str, keys: tuple[str, str] | None) -> None:
    """Make kafka-python's AWS_MSK_IAM sign with these keys (None: boto3's own credential chain) and this region.

    kafka-python has options for neither. It builds a botocore session from the environment, where it would take a
    stale AWS_SESSION_TOKEN for the token of the profile's keys; so this replaces its private attribute
    `_boto_session_cls`. No issue asks for such options upstream (dpkp/kafka-python#2255 brought the mechanism). This
    can go when KafkaConsumer takes credentials, or a token provider for AWS_MSK_IAM.
    """

    class Session(botocore.session.Session):
        def __init__(self) -> None:
            super().__init__()
            self.set_config_variable("region", region)
            if keys:
                self.set_credentials(*keys)

    class Mechanism(SaslMechanismAwsMskIam):  # type: ignore[misc]  # kafka-python has no types
        def __init__(self, **config: Any) -> None:
            super().__init__(**config)
            self._boto_session_cls = Session

    register_sasl_mechanism("AWS_MSK_IAM", Mechanism, overwrite=True)
