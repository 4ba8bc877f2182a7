"""From the REST proxy to the sink connector."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError

from foundation.aws import QUICK, client
from foundation.connect import cause
from foundation.errors import brief
from foundation.profile import Profile
from pinflow.account.topics import dead_letter_topic
from pinflow.doctor.finding import Finding, failed, fix_for, ok, unknown, warning

_TIMEOUT = (4, 15)


def rest_proxy(profile: Profile) -> list[Finding]:
    """Asks the REST proxy for its topics directly, without API Gateway."""
    tried = f"GET {profile.rest_proxy.url}/topics"
    try:
        answer = requests.get(f"{profile.rest_proxy.url}/topics", timeout=_TIMEOUT)
    except requests.RequestException as error:
        return [failed(tried, brief(error), _unreachable(profile, error))]
    if answer.status_code != 200:
        fix = fix_for(
            profile, "kafka", "the REST proxy does not reach MSK: kafka-rest.properties (make client-config), IAM role"
        )
        return [failed(tried, f"HTTP {answer.status_code}: {answer.text[:200]}", fix)]
    known = _json(answer)
    if not isinstance(known, list):
        fix = "another server answers there: rest_proxy.url must be the REST proxy's host and port, without a path"
        return [failed(tried, f"not a list of topics: {answer.text[:200]}", fix)]
    # Confluent's proxy ignores enable.idempotence, and says so in its log only (seen on 7.9.9 and 8.2.0).
    retries = "a retry of its producer may write a record twice; the cleaned tables keep one row per ind"
    return [ok(tried, f"{len(known)} topics; {retries}")]


def topics(profile: Profile) -> list[Finding]:
    """Which topics the REST proxy knows; MSK's brokers can be reached only from inside their VPC."""
    url = f"{profile.rest_proxy.url}/topics"
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
        known = _json(answer) if answer.status_code == 200 else None
    except requests.RequestException:
        known = None
    if not isinstance(known, list):
        return [unknown(f"GET {url}", "the REST proxy does not answer", "fix the REST proxy first")]
    tried = f"topics of {profile.kafka.bootstrap_servers}"
    create = fix_for(
        profile,
        "kafka",
        "run the commands of create-topics.sh (make client-config) on the EC2 client: "
        f"the topics are {', '.join(profile.topics)}",
    )
    blocks = "the REST proxy blocks a batch to it for producer.max.block.ms per record"
    findings = [
        ok(tried, f"{topic} exists") if topic in known else failed(tried, f"{topic} does not exist; {blocks}", create)
        for topic in profile.topics
    ]
    letters = dead_letter_topic(profile)
    return findings + (_dead_letters(f"{url}/{letters}/partitions") if letters in known else [])


def _dead_letters(url: str) -> list[Finding]:
    """A warning if the sink found records that are not JSON; empty if there are none or they cannot be counted."""
    try:
        offsets = [
            requests.get(f"{url}/{one['partition']}/offsets", timeout=_TIMEOUT).json()
            for one in requests.get(url, timeout=_TIMEOUT).json()
        ]
        count = sum(one["end_offset"] - one["beginning_offset"] for one in offsets)
    except (requests.RequestException, TypeError, KeyError):
        return []
    stuck = "from such a record on, the REST proxy answers a consumer of format json only with 408 (40801)"
    fix = "read those topics in format binary, or with bin/kafka-console-consumer.sh"
    return [warning(f"GET {url}", f"{count} dead letters: not every record is JSON, and {stuck}", fix)] if count else []


def role(profile: Profile) -> list[Finding]:
    """The role that clients of MSK assume: its trust policy must name the role itself."""
    arn = profile.kafka.role_arn
    if arn is None:
        return []
    name, tried = arn.rpartition("/")[2], f"trust policy of {arn}"
    try:
        policy: Any = client(profile, "iam", QUICK).get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return [failed(tried, "no such role", "IAM's console: Roles; copy the ARN to kafka.role_arn")]
        return [unknown(tried, brief(error), "iam:GetRole would show it")]
    except BotoCoreError as error:
        return [unknown(tried, brief(error))]
    if {arn, "*"} & _trusted(policy):
        return [ok(tried, "the role trusts itself")]
    fix = f"IAM's console: Roles, {name}, Trust relationships: allow sts:AssumeRole to the principal {{AWS: {arn}}}"
    return [failed(tried, "the role does not trust itself", fix)]


def _trusted(policy: Any) -> set[str]:
    """The AWS principals that a trust policy allows; IAM returns a single statement or principal without a list."""
    principals = [
        statement.get("Principal", {}) for statement in _several(policy["Statement"]) if statement["Effect"] == "Allow"
    ]
    return {
        one
        for principal in principals
        for one in _several(principal.get("AWS", []) if isinstance(principal, dict) else principal)
    }


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def connector(profile: Profile) -> list[Finding]:
    """The sink's state: from Connect's REST API, or from MSK Connect if nothing runs on this machine."""
    if profile.connect.msk:
        return [_of_msk_connect(profile)]
    name = profile.connect.connector
    url = f"{profile.connect.url}/connectors/{name}/status"
    try:
        answer = requests.get(url, timeout=_TIMEOUT)
    except requests.RequestException as error:
        if profile.stack is None:
            return [_of_msk_connect(profile)]
        fix = fix_for(profile, "connect", "is the worker running?")
        return [failed(f"GET {url}", brief(error), fix)]
    if answer.status_code != 200:
        found = f"HTTP {answer.status_code}: {answer.text[:200]}"
        return [failed(f"GET {url}", found, fix_for(profile, "connect", "create the connector: make deploy"))]
    status = _json(answer)
    if not (isinstance(status, dict) and {"connector", "tasks"} <= status.keys()):
        fix = "another server answers there: connect.url must be Kafka Connect's REST API, host and port without a path"
        return [failed(f"GET {url}", f"not a connector's state: {answer.text[:200]}", fix)]
    states = [task["state"] for task in status["tasks"]]
    broken = next((t for t in [status["connector"], *status["tasks"]] if t["state"] == "FAILED"), None)
    if broken:
        trace = cause(broken) or "no reason given"
        fix = f"fix the cause, then: curl -X POST '{profile.connect.url}/connectors/{name}/restart?includeTasks=true'"
        return [failed(f"GET {url}", f"FAILED: {trace[:300]}", fix)]
    if status["connector"]["state"] != "RUNNING" or not states:
        fix = f"curl -X PUT {profile.connect.url}/connectors/{name}/resume"
        return [failed(f"GET {url}", f"{status['connector']['state']}, {len(states)} tasks", fix)]
    return [ok(f"GET {url}", f"RUNNING, {len(states)} tasks")]


def _of_msk_connect(profile: Profile) -> Finding:
    name = profile.connect.connector
    tried = f"MSK Connect's connector {name}"
    try:
        pages = (
            client(profile, "kafkaconnect", QUICK).get_paginator("list_connectors").paginate(connectorNamePrefix=name)
        )
        found = [one for page in pages for one in page["connectors"]]
    except (ClientError, BotoCoreError) as error:
        return unknown(tried, brief(error), "kafkaconnect:ListConnectors would show it")
    states = [one["connectorState"] for one in found if one["connectorName"] == name]
    if not states:
        return failed(
            tried,
            "no such connector",
            "make deploy creates it (connect.msk); or create it in MSK's console and set connect.connector",
        )
    if states[0] != "RUNNING":
        fix = "its log in CloudWatch says why: bucket, role, bootstrap servers or topics.regex; then recreate it"
        return failed(tried, states[0], fix)
    return ok(tried, "RUNNING")


def _unreachable(profile: Profile, error: requests.RequestException) -> str:
    text, address = str(error), urlsplit(profile.rest_proxy.url)
    if "SSL" in text:
        return "the REST proxy serves http: rest_proxy.url and the API's integration must begin with http://"
    if "resolve" in text or "Name or service" in text or not _resolves(address.hostname or ""):
        return "EC2's public DNS changes at each stop and start: put the new one into rest_proxy.url and the API"
    return fix_for(
        profile,
        "rest_proxy",
        "is port 8082 open in EC2's security group, is kafka-rest running there (systemctl status kafka-rest), and is "
        "rest_proxy.url its present public DNS (it changes with each stop and start)?",
    )


def _json(answer: requests.Response) -> Any:
    """The answer's document; None if it is not JSON."""
    try:
        return answer.json()
    except requests.JSONDecodeError:
        return None


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True
