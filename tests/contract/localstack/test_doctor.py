"""The doctor's look at API Gateway, S3 and Kinesis, against LocalStack as the stack starts it."""

from __future__ import annotations

from foundation.aws import client
from pinflow.doctor import api, aws
from tests.servers.backends import Backend, Seen
from tests.servers.localstack import UID, LocalStack


def test_the_stage_its_resources_bucket_and_streams_are_well(localstack: LocalStack, rest_proxy: Backend) -> None:
    usual, rest_proxy.answer = rest_proxy.answer, _as_the_rest_proxy
    try:
        checks = (aws.identity, api.routes, api.resources, aws.streams)
        findings = [finding for check in checks for finding in check(localstack.profile)]
    finally:
        rest_proxy.answer = usual
    assert len(findings) == 16
    assert [finding for finding in findings if finding.state != "ok"] == []


def test_looking_writes_nothing(localstack: LocalStack) -> None:
    api.routes(localstack.profile)
    assert not [
        name
        for name in client(localstack.profile, "kinesis").list_streams()["StreamNames"]
        if name == f"streaming-{UID}-doctor"
    ]


def test_a_stage_that_is_not_there_is_named(localstack: LocalStack) -> None:
    url = localstack.profile.api.invoke_url.replace("/dev", "/prod")
    profile = localstack.profile.model_copy(
        update={"api": localstack.profile.api.model_copy(update={"invoke_url": url})}
    )
    findings = api.routes(profile)
    assert {finding.state for finding in findings} == {"failed"}
    assert "stage's name is wrong" in findings[0].fix


def _as_the_rest_proxy(seen: Seen) -> tuple[int, object]:
    return (200, []) if seen.method == "GET" else (422, {"error_code": 422, "message": "records is empty"})
