"""The stage of API Gateway: sends a harmless request to each route, and compares the API's resources.

A route that writes gets a request that cannot write: records for a stream that does not exist, an empty list of
records for a topic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError

from emulator.authorization import authorization
from foundation.aws import QUICK, client
from foundation.errors import brief
from foundation.loopback import is_local
from foundation.profile import Profile
from pinflow.doctor.finding import Finding, failed, fix_for, ok, unknown

_TIMEOUT = (4, 15)
_KAFKA = "application/vnd.kafka.v2+json"  # for any other, even on a GET, the REST proxy answers 415
_KAFKA_JSON = "application/vnd.kafka.json.v2+json"
_DEPLOY = "API Gateway's console: Deploy API to the stage of api.invoke_url; changes reach the stage only that way"


@dataclass(frozen=True)
class _Route:
    """A request, the statuses of a working route, and the resource behind it."""

    method: str
    path: str
    good: tuple[int, ...]
    resource: str
    body: Any = None
    content_type: str = "application/json"


def _routes(profile: Profile) -> list[_Route]:
    absent = f"/streams/streaming-{profile.uid}-doctor"  # the role may use this name; the stream does not exist
    row = {"ind": 0}
    return [
        _Route("GET", "/topics", (200,), "/{proxy+}", None, _KAFKA),
        _Route("POST", f"/topics/{profile.topics[0]}", (422,), "/{proxy+}", {"records": []}, _KAFKA_JSON),
        _Route("GET", "/streams", (200,), "/streams"),
        _Route("GET", f"/streams/{profile.streams[0]}", (200,), "/streams/{stream-name}"),
        _Route("PUT", f"{absent}/record", (400,), "/streams/{stream-name}/record",
               {"StreamName": "x", "Data": row, "PartitionKey": "x"}),
        _Route("PUT", f"{absent}/records", (400,), "/streams/{stream-name}/records",
               {"records": [{"data": row, "partition-key": "x"}]}),
    ]  # fmt: skip


def routes(profile: Profile) -> list[Finding]:
    """Sends each request to the stage."""
    url = profile.api.invoke_url
    parts = urlsplit(url)
    of_aws = ".execute-api." in (parts.hostname or "")
    if of_aws and not parts.path.strip("/"):
        return [failed(url, "the stage's name is missing", f"api.invoke_url must end in the stage: {url}/dev")]
    if of_aws and parts.scheme == "http":
        return [failed(url, "http", "API Gateway serves https only: api.invoke_url must begin with https://")]
    findings: list[Finding] = []
    with requests.Session() as session:
        session.auth = authorization(profile)
        session.trust_env = not is_local(url)
        for route in _routes(profile):
            tried = f"{route.method} {url}{route.path}"
            try:
                answer = session.request(
                    route.method, url + route.path, json=route.body, timeout=_TIMEOUT,
                    headers={"Content-Type": route.content_type},
                )  # fmt: skip
            except requests.ReadTimeout:
                findings.append(failed(tried, f"no answer within {_TIMEOUT[1]} s", _fix(profile, route, 504, "")))
                continue
            except requests.RequestException as error:
                return [*findings, failed(tried, brief(error), _unreachable(profile, error))]
            findings.append(_judge(profile, route, tried, answer))
    return findings


def resources(profile: Profile) -> list[Finding]:
    """Reads the API's resources, and which of them are deployed to the stage."""
    api_id, stage = _names(profile)
    if not api_id:
        return [unknown(profile.api.invoke_url, "not an API Gateway address, so its resources cannot be read")]
    tried = f"resources of the API {api_id}, stage {stage}"
    try:
        gateway = client(profile, "apigateway", QUICK)
        pages = gateway.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
        found: dict[str, Mapping[str, Any]] = {item["path"]: item for page in pages for item in page["items"]}
        deployment = gateway.get_stage(restApiId=api_id, stageName=stage)["deploymentId"]
        snapshot = gateway.get_deployment(restApiId=api_id, deploymentId=deployment, embed=["apisummary"])
    except (ClientError, BotoCoreError) as error:
        return [unknown(tried, brief(error), "the right apigateway:GET would show more; the pipeline runs without it")]
    deployed: Mapping[str, Any] = snapshot.get("apiSummary") or {}
    findings = [_resource(path, found, deployed, tried) for path in sorted({r.resource for r in _routes(profile)})]
    return [*findings, *_integration(profile, found.get("/{proxy+}", {})), *_access(profile, deployed)]


def _resource(path: str, found: Mapping[str, Any], deployed: Mapping[str, Any], tried: str) -> Finding:
    if path not in found:
        return failed(tried, f"{path} does not exist", f"create the resource {path}, or run make aws-up")
    if deployed and path not in deployed:
        return failed(tried, f"{path} exists but not in the stage: the API was not redeployed after a change", _DEPLOY)
    return ok(tried, f"{path} exists")


# PINFLOW_REST_PROXY_URL of LocalStack's container in docker-compose.yml.
_IN_COMPOSE = ("rest_proxy", 8082)


def _integration(profile: Profile, resource: Mapping[str, Any]) -> list[Finding]:
    """Compares the target of `/{proxy+}` with rest_proxy.url: EC2's public DNS changes at each stop and start."""
    uri = str(resource.get("resourceMethods", {}).get("ANY", {}).get("methodIntegration", {}).get("uri", ""))
    if not uri:
        return []
    tried, wanted, actual = f"/{{proxy+}} forwards to {uri}", urlsplit(profile.rest_proxy.url), urlsplit(uri)
    if profile.stack and (actual.hostname, actual.port) == _IN_COMPOSE:
        return [ok(tried, "the REST proxy's name and port in docker-compose.yml")]
    if actual.hostname != wanted.hostname:
        fix = f"EC2's public DNS changed? Set the integration's URL to {profile.rest_proxy.url}/{{proxy}}, then deploy"
        return [failed(tried, f"rest_proxy.url has another host: {wanted.hostname}", fix)]
    if actual.scheme != wanted.scheme or actual.port != wanted.port:
        fix = f"the REST proxy serves {wanted.scheme}: set the URL to {profile.rest_proxy.url}/{{proxy}}, then deploy"
        return [failed(tried, f"{actual.scheme} and port {actual.port} differ from rest_proxy.url", fix)]
    return [ok(tried, "matches rest_proxy.url")]


def _access(profile: Profile, deployed: Mapping[str, Any]) -> list[Finding]:
    """Compares the profile's authorization and API key with what the stage's methods require."""
    methods = [method for methods in deployed.values() for name, method in methods.items() if name != "OPTIONS"]
    findings = []
    if profile.api.authorization == "none" and any(m.get("authorizationType") == "AWS_IAM" for m in methods):
        findings.append(failed("api.authorization: none", "methods require AWS_IAM", "set api.authorization to iam"))
    if profile.api.api_key is None and any(m.get("apiKeyRequired") for m in methods):
        fix = "set api.api_key to ${ENV_VAR} and export the key of your usage plan in that variable"
        findings.append(failed("api.api_key: null", "methods require an API key", fix))
    return findings


def _names(profile: Profile) -> tuple[str, str]:
    """The API's id and stage, from an invoke URL of AWS or LocalStack; empty for any other URL."""
    parts = urlsplit(profile.api.invoke_url)
    of_aws = re.match(r"([^.]+)\.execute-api\.", parts.hostname or "")
    if of_aws:
        return of_aws.group(1), parts.path.strip("/").split("/")[0]
    of_localstack = re.match(r"/_aws/execute-api/([^/]+)/([^/]+)", parts.path)
    return (of_localstack.group(1), of_localstack.group(2)) if of_localstack else ("", "")


def _judge(profile: Profile, route: _Route, tried: str, answer: requests.Response) -> Finding:
    said = " ".join(answer.text.split())[:200]
    found = f"HTTP {answer.status_code}: {said}"
    # A good 400 is Kinesis' own: no such stream.
    if answer.status_code in route.good and not (answer.status_code == 400 and _wrong_400(said)):
        expected = "responded as expected (nothing was written)"
        return ok(tried, f"HTTP {answer.status_code}" if route.body is None else expected)
    return failed(tried, found, _fix(profile, route, answer.status_code, said))


def _wrong_400(said: str) -> bool:
    return "AccessDenied" in said or not ("ResourceNotFound" in said or "not found" in said.lower())


def _fix(profile: Profile, route: _Route, status: int, said: str) -> str:
    kafka = route.path.startswith("/topics")
    if "Missing Authentication Token" in said or status == 404:
        return (
            f"the stage's name is wrong, or {route.resource} has no {route.method}, or the API was not redeployed "
            f"after a change. {_DEPLOY}"
        )
    if status == 403 and '"Forbidden"' in said:  # API Gateway's answer to a wrong key
        if profile.api.api_key is None:
            return "the API requires an API key: set api.api_key to ${ENV_VAR} and export the key in that variable"
        return "api.api_key belongs to no usage plan of this stage"
    if status in (401, 403):
        if profile.api.authorization == "iam":
            return (
                "the credentials of `aws` may not call this API: execute-api:Invoke, and the right region and account"
            )
        return "the API requires an API key (api.api_key) or a signature (api.authorization: iam)"
    if status == 406:
        return f"set the header Accept of the integration to '{_KAFKA_JSON}': API Gateway sends application/json itself"
    if status == 415:
        where = "pass Content-Type on to the REST proxy" if kafka else "add application/json to the mapping templates"
        return f"wrong content type: the integration must {where}"
    if kafka and status >= 500 and "error_code" in said:  # the REST proxy's own error document
        return fix_for(profile, "kafka", "the REST proxy does not reach MSK: see the findings on the REST proxy below")
    if kafka and status >= 500:
        return fix_for(
            profile,
            "rest_proxy",
            "API Gateway does not reach the REST proxy: is EC2 running, did its public DNS change (the integration's "
            "URL), is port 8082 open in its security group, is the URL http and not https?",
        )
    if "AccessDenied" in said:
        return "the integration's execution role may not do this on the stream: kinesis:* on streaming-<uid>-*"
    if "ResourceNotFound" in said:
        return f"create the stream {profile.streams[0]}, or deploy localstack/template.yaml"
    if "Serialization" in said or "UnknownOperation" in said:
        return "the integration's header Content-Type must be 'application/x-amz-json-1.1', its action the right one"
    if status >= 500:
        return "the integration's execution role does not exist, or does not trust apigateway.amazonaws.com"
    return f"compare {route.resource} with localstack/template.yaml"


def _unreachable(profile: Profile, error: requests.RequestException) -> str:
    text = str(error)
    if "SSL" in text:
        return "api.invoke_url says https but the server speaks http, or its certificate is not trusted"
    if "resolve" in text or "Name or service" in text:
        return "no such host: copy the invoke URL of the stage again (API Gateway's console, Stages)"
    return fix_for(profile, "localstack", "is api.invoke_url right, and does this machine reach the internet?")
