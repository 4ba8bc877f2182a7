"""An AWS_PROFILE that is nowhere: said with what to do, by whatever needs AWS first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation.aws import account, client
from foundation.errors import PinflowError
from foundation.mwaa import Mwaa
from foundation.profile import Profile
from pinflow.account import listed, take
from pinflow.cloudformation.stack import Stack
from pinflow.deploy import connector
from tests.contract.aws.conftest import write_profile


@pytest.fixture
def mistyped(as_person: pytest.MonkeyPatch, tmp_path: Path) -> Profile:
    as_person.setenv("AWS_PROFILE", "nobody")
    return write_profile(tmp_path / "mistyped.yaml", "http://127.0.0.1:9")


@pytest.mark.parametrize("ask", [Stack, connector.find, listed, lambda profile: client(profile, "kinesis")])
def test_it_is_named_with_what_to_do(mistyped: Profile, ask: Callable[[Profile], Any]) -> None:
    with pytest.raises(PinflowError, match=r"The config profile \(nobody\) could not be found") as raised:
        ask(mistyped)
    assert "aws configure list-profiles" in raised.value.fix


def test_an_environment_without_an_endpoint_is_awss_own_wherever_s3_is(
    as_person: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path / "mixed.yaml", "http://127.0.0.1:9")
    mixed = profile.model_copy(update={"airflow": profile.airflow.model_copy(update={"endpoint_url": None})})
    assert client(mixed, "s3").meta.endpoint_url == "http://127.0.0.1:9"
    assert Mwaa(mixed)._client.meta.endpoint_url == f"https://airflow.{profile.aws.region}.amazonaws.com"


def test_what_cannot_be_counted_for_it_is_named_and_the_rest_is_counted(mistyped: Profile) -> None:
    unknown = take(mistyped).unknown
    assert {"nobody" in unknown[hop] for hop in ("Kafka", "S3")} == {True}


def test_an_account_that_is_asked_for_by_the_way_is_unknown(mistyped: Profile) -> None:
    assert account(mistyped).startswith("unknown (")
