"""The stage of API Gateway: each route by a request that changes nothing, and its resources as the API describes them.

A route that writes is tried in a way in which nothing can be written: records to a stream that does not exist, an
empty list of records to a topic.
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
from foundation.profile import Profile
from pinflow.doctor.finding import Finding, failed, mend, ok, unknown

_TIMEOUT = (4, 15)
_KAFKA = "application/vnd.kafka.v2+json"  # the REST proxy answers 415 to any other, also with a GET
_KAFKA_JSON = "application/vnd.kafka.json.v2+json"
_DEPLOY = "API Gateway's console: Deploy API, to the stage of api.invoke_url; a change reaches the stage only so"


@dataclass(frozen=True)
class _Route:
    """A request, the statuses by which it is there, and the resource that it goes to."""

    method: str
    path: str
    good: tuple[int, ...]
    resource: str
    body: Any = None
    content_type: str = "application/json"


def _routes(profile: Profile) -> list[_Route]:
    absent = f"/streams/streaming-{profile.uid}-doctor"  # fits the role's rights, and does not exist
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
        return [failed(url, "the stage's name is missing", f"api.invoke_url ends in the stage: {url}/dev")]
    if of_aws and parts.scheme == "http":
        return [failed(url, "http", "API Gateway speaks https only: api.invoke_url begins with https://")]
    findings: list[Finding] = []
    with requests.Session() as session:
        session.auth = authorization(profile)
        session.trust_env = parts.hostname not in ("127.0.0.1", "localhost", "::1")
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
    """Reads the API's resources, and what of them was deployed to the stage."""
    api_id, stage = _names(profile)
    if not api_id:
        return [unknown(profile.api.invoke_url, "not an address of API Gateway, so its resources cannot be looked up")]
    tried = f"resources of the API {api_id}, stage {stage}"
    try:
        gateway = client(profile, "apigateway", QUICK)
        pages = gateway.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
        found: dict[str, Mapping[str, Any]] = {item["path"]: item for page in pages for item in page["items"]}
        deployment = gateway.get_stage(restApiId=api_id, stageName=stage)["deploymentId"]
        snapshot = gateway.get_deployment(restApiId=api_id, deploymentId=deployment, embed=["apisummary"])
    except (ClientError, BotoCoreError) as error:
        return [
            unknown(tried, brief(error), "apigateway:GET would show more than the requests above; not needed to run")
        ]
    deployed: Mapping[str, Any] = snapshot.get("apiSummary") or {}
    findings = [_resource(path, found, deployed, tried) for path in sorted({r.resource for r in _routes(profile)})]
    return [*findings, *_integration(profile, found.get("/{proxy+}", {})), *_access(profile, deployed)]


def _resource(path: str, found: Mapping[str, Any], deployed: Mapping[str, Any], tried: str) -> Finding:
    if path not in found:
        return failed(tried, f"{path} is not there", f"create the resource {path}, or deploy localstack/template.yaml")
    if deployed and path not in deployed:
        return failed(tried, f"{path} is there, and not in the stage: not redeployed after a change", _DEPLOY)
    return ok(tried, f"{path} is there")


# What LocalStack's container was told: PINFLOW_REST_PROXY_URL in docker-compose.yml.
_IN_COMPOSE = ("rest_proxy", 8082)


def _integration(profile: Profile, resource: Mapping[str, Any]) -> list[Finding]:
    """Where `/{proxy+}` forwards to, beside rest_proxy.url: EC2's public DNS changes with each stop and start."""
    uri = str(resource.get("resourceMethods", {}).get("ANY", {}).get("methodIntegration", {}).get("uri", ""))
    if not uri:
        return []
    tried, wanted, actual = f"/{{proxy+}} forwards to {uri}", urlsplit(profile.rest_proxy.url), urlsplit(uri)
    if profile.stack and (actual.hostname, actual.port) == _IN_COMPOSE:
        return [ok(tried, "its name and port among the containers of docker-compose.yml")]
    if actual.hostname != wanted.hostname:
        fix = f"EC2's public DNS changed? Set the integration's URL to {profile.rest_proxy.url}/{{proxy}}, then deploy"
        return [failed(tried, f"another host than rest_proxy.url, {wanted.hostname}", fix)]
    if actual.scheme != wanted.scheme or actual.port != wanted.port:
        fix = f"the REST proxy speaks {wanted.scheme}: set it to {profile.rest_proxy.url}/{{proxy}}, then deploy"
        return [failed(tried, f"{actual.scheme} and port {actual.port}, not as in rest_proxy.url", fix)]
    return [ok(tried, "as rest_proxy.url says")]


def _access(profile: Profile, deployed: Mapping[str, Any]) -> list[Finding]:
    """Whether the profile brings what the stage's methods ask for."""
    methods = [method for methods in deployed.values() for name, method in methods.items() if name != "OPTIONS"]
    findings = []
    if profile.api.authorization == "none" and any(m.get("authorizationType") == "AWS_IAM" for m in methods):
        findings.append(failed("api.authorization: none", "methods ask for AWS_IAM", "set api.authorization to iam"))
    if profile.api.api_key is None and any(m.get("apiKeyRequired") for m in methods):
        fix = "set api.api_key to ${ENV_VAR} and export the key of your usage plan there"
        findings.append(failed("api.api_key: null", "methods ask for an API key", fix))
    return findings


def _names(profile: Profile) -> tuple[str, str]:
    """The API's id and its stage, from an invoke URL of AWS or of LocalStack; empty where it is neither."""
    parts = urlsplit(profile.api.invoke_url)
    of_aws = re.match(r"([^.]+)\.execute-api\.", parts.hostname or "")
    if of_aws:
        return of_aws.group(1), parts.path.strip("/").split("/")[0]
    of_localstack = re.match(r"/_aws/execute-api/([^/]+)/([^/]+)", parts.path)
    return (of_localstack.group(1), of_localstack.group(2)) if of_localstack else ("", "")


def _judge(profile: Profile, route: _Route, tried: str, answer: requests.Response) -> Finding:
    said = " ".join(answer.text.split())[:200]
    found = f"HTTP {answer.status_code}: {said}"
    # A 400 must be Kinesis' own (no such stream), or API Gateway's of a body that does not fit its model.
    if answer.status_code in route.good and not (answer.status_code == 400 and _wrong_400(said)):
        shown = "answered as it should; nothing was written" if route.body is not None else f"HTTP {answer.status_code}"
        return ok(tried, shown)
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
    if status == 403 and '"Forbidden"' in said:  # API Gateway's own word for a key
        if profile.api.api_key is None:
            return "the API wants an API key: set api.api_key to ${ENV_VAR} and export the key there"
        return "api.api_key is no key of a usage plan that this stage belongs to"
    if status in (401, 403):
        if profile.api.authorization == "iam":
            return (
                "the credentials of `aws` may not call this API: execute-api:Invoke, and the right region and account"
            )
        return "the API wants an API key (api.api_key) or a signature (api.authorization: iam)"
    if status == 406:
        return f"set the header Accept of the integration to '{_KAFKA_JSON}': API Gateway sends application/json itself"
    if status == 415:
        where = "pass Content-Type on to the REST proxy" if kafka else "add application/json to the mapping templates"
        return f"wrong content type: the integration must {where}"
    if kafka and status >= 500 and "error_code" in said:  # the REST proxy's own words
        return mend(profile, "kafka", "the REST proxy does not reach MSK: see there, below")
    if kafka and status >= 500:
        return mend(
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
        return "api.invoke_url says https where the other end speaks http, or its certificate is not trusted"
    if "resolve" in text or "Name or service" in text:
        return "no such host: copy the invoke URL of the stage again (API Gateway's console, Stages)"
    return mend(profile, "localstack", "is api.invoke_url right, and does this machine reach the internet?")
