"""API Gateway: each route that does not answer as it should, each resource that is not as it should be."""

from __future__ import annotations

from typing import Any

import pytest

from pinflow.doctor import api
from pinflow.doctor.finding import Finding
from tests.contract.doctor.conftest import UID, FarEnd, Make, Stubs

STAGE = "/_aws/execute-api/abc/dev"
NOT_FOUND = {"__type": "ResourceNotFoundException", "message": "not found"}
PATHS = ["/{proxy+}", "/streams", "/streams/{stream-name}", "/streams/{stream-name}/record",
         "/streams/{stream-name}/records"]  # fmt: skip


@pytest.fixture
def healthy(far_end: FarEnd) -> FarEnd:
    far_end.answer("GET", f"{STAGE}/topics", 200, [])
    far_end.answer("POST", f"{STAGE}/topics", 422, {"error_code": 422})
    far_end.answer("GET", f"{STAGE}/streams", 200, {"StreamNames": []})
    far_end.answer("PUT", f"{STAGE}/streams/streaming-{UID}-doctor", 400, NOT_FOUND)
    return far_end


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state != "ok"]


def test_a_healthy_stage_is_well_and_nothing_was_written(make: Make, healthy: FarEnd) -> None:
    findings = api.routes(make())
    assert len(findings) == 6
    assert bad(findings) == []
    written = [path for method, path, _ in healthy.seen if method == "PUT" and "-doctor/" not in path]
    assert written == []


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "fix"),
    [
        ("GET", "/topics", 403, {"message": "Missing Authentication Token"}, "not redeployed"),
        ("GET", "/topics", 404, {"message": "no such API"}, "stage's name is wrong"),
        ("GET", "/topics", 406, {"error_code": 406}, "header Accept of the integration"),
        ("POST", "/topics", 415, {"error_code": 415}, "wrong content type"),
        ("GET", "/topics", 500, {"message": "Internal server error"}, "http and not https"),
        ("GET", "/topics", 504, {"message": "Endpoint request timed out"}, "port 8082 open"),
        ("GET", "/topics", 500, {"error_code": 50003, "message": "no broker"}, "does not reach MSK"),
        ("GET", "/topics", 403, {"message": "Forbidden"}, "api.api_key"),
        ("GET", "/topics", 401, {"message": "Unauthorized"}, "or a signature (api.authorization: iam)"),
        ("GET", "/topics", 409, {"message": "what is this"}, "compare /{proxy+} with localstack/template.yaml"),
        ("GET", f"/streams/streaming-{UID}-pin", 400, NOT_FOUND, f"create the stream streaming-{UID}-pin"),
        ("GET", "/streams", 500, {"message": "Internal server error"}, "does not trust apigateway.amazonaws.com"),
        ("GET", "/streams", 400, {"__type": "AccessDeniedException"}, "execution role may not"),
        ("PUT", f"/streams/streaming-{UID}-doctor/record", 400, {"__type": "AccessDeniedException"}, "may not"),
        ("PUT", f"/streams/streaming-{UID}-doctor/records", 400, {"__type": "SerializationException"}, "amz-json-1.1"),
        ("PUT", f"/streams/streaming-{UID}-doctor/record", 415, {"message": "x"}, "mapping templates"),
    ],
)
def test_a_route_that_answers_wrongly_is_named_with_its_fix(
    make: Make, healthy: FarEnd, method: str, path: str, status: int, body: Any, fix: str
) -> None:
    healthy.answer(method, STAGE + path, status, body)
    found = bad(api.routes(make()))
    assert found
    assert all(fix in finding.fix for finding in found if finding.tried.endswith(path))
    assert any(f"HTTP {status}" in finding.found and fix in finding.fix for finding in found)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("https://abc.execute-api.us-east-1.amazonaws.com", "must end in the stage"),
        ("http://abc.execute-api.us-east-1.amazonaws.com/dev", "must begin with https://"),
        ("https://nowhere.invalid/dev", "copy the invoke URL"),
        ("http://127.0.0.1:9/dev", "does this machine reach"),
    ],
)
def test_an_address_that_leads_nowhere_is_named_with_its_fix(make: Make, url: str, fix: str) -> None:
    (finding,) = api.routes(make(api__invoke_url=url))
    assert finding.state == "failed"
    assert fix in finding.fix


def test_https_where_http_is_meant(make: Make, far_end: FarEnd) -> None:
    (finding,) = api.routes(make(api__invoke_url=f"https://127.0.0.1:{far_end.port}/dev"))
    assert "says https but the server speaks http" in finding.fix


def test_a_route_that_hangs_does_not_hide_the_others(
    make: Make, healthy: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_TIMEOUT", (4, 0.3))
    healthy.answer("GET", f"{STAGE}/topics", 0)
    findings = api.routes(make())
    (finding,) = bad(findings)
    assert (len(findings), finding.found) == (6, "no answer within 0.3 s")
    assert "port 8082" in finding.fix


def test_a_key_that_the_stage_does_not_know_is_named(
    make: Make, healthy: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINFLOW_TEST_API_KEY", "k" * 20)
    healthy.answer("GET", f"{STAGE}/topics", 403, {"message": "Forbidden"})
    (finding,) = bad(api.routes(make(api__api_key="${PINFLOW_TEST_API_KEY}")))
    assert "belongs to no usage plan" in finding.fix


def test_with_iam_a_403_is_about_rights(make: Make, healthy: FarEnd) -> None:
    healthy.answer("GET", f"{STAGE}/topics", 403, {"message": "User is not authorized"})
    (finding,) = bad(api.routes(make(api__authorization="iam")))
    assert "execute-api:Invoke" in finding.fix


def describe(stubs: Stubs, uri: str, absent: str = "", undeployed: str = "", **method: Any) -> None:
    """The API's resources, without one; the stage's snapshot, without another."""
    proxy = {"resourceMethods": {"ANY": {"methodIntegration": {"uri": uri}}}}
    items = [{"path": path, **(proxy if path == "/{proxy+}" else {})} for path in PATHS if path != absent]
    deployed = {path: {"GET": {"authorizationType": "NONE", **method}} for path in PATHS if path != undeployed}
    gateway = stubs.of("apigateway")
    gateway.add_response("get_resources", {"items": items})
    gateway.add_response("get_stage", {"deploymentId": "d"})
    gateway.add_response("get_deployment", {"apiSummary": deployed})


def test_resources_as_they_should_be(make: Make, stubs: Stubs, far_end: FarEnd) -> None:
    describe(stubs, f"{far_end.url}/{{proxy}}")
    assert bad(api.resources(make())) == []


@pytest.mark.parametrize(
    ("changes", "found", "fix"),
    [
        ({"absent": "/streams"}, "/streams does not exist", "create the resource /streams"),
        ({"undeployed": "/streams"}, "not redeployed after a change", "Deploy API"),
        ({"uri": "http://ec2-9-9-9-9.example:8082/{proxy}"}, "another host", "EC2's public DNS changed?"),
        ({"uri": "https://127.0.0.1:8082/{proxy}"}, "https", "serves http"),
        ({"authorizationType": "AWS_IAM"}, "require AWS_IAM", "api.authorization to iam"),
        ({"apiKeyRequired": True}, "require an API key", "api.api_key"),
    ],
)
def test_a_resource_that_is_wrong_is_named_with_its_fix(
    make: Make, stubs: Stubs, far_end: FarEnd, changes: dict[str, Any], found: str, fix: str
) -> None:
    describe(stubs, **{"uri": f"{far_end.url}/{{proxy}}", **changes})
    (finding,) = bad(api.resources(make()))
    assert found in finding.found
    assert fix in finding.fix


def test_without_the_right_to_look_nothing_is_claimed(make: Make, stubs: Stubs) -> None:
    stubs.of("apigateway").add_client_error("get_resources", "AccessDeniedException")
    assert [finding.state for finding in api.resources(make())] == ["unknown"]


def test_an_api_is_found_by_its_address_on_aws(make: Make, stubs: Stubs) -> None:
    describe(stubs, "")
    findings = api.resources(make(api__invoke_url="https://x1y2.execute-api.eu-west-1.amazonaws.com/prod"))
    assert {finding.tried for finding in findings} == {"resources of the API x1y2, stage prod"}
    assert bad(findings) == []


def test_an_address_that_is_not_of_api_gateway_is_said(make: Make) -> None:
    (finding,) = api.resources(make(api__invoke_url="https://api.example.org/dev"))
    assert (finding.state, finding.found.partition(",")[0]) == ("unknown", "not an API Gateway address")
