"""MWAA's API: what it takes, what it refuses, and how it hands Airflow's answers on."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from docs.capabilities import inventory
from foundation import loops
from foundation.errors import NotReady
from foundation.profile import load
from services.airflow import mwaa


class Airflow(BaseHTTPRequestHandler):
    """Answers with what it was asked; a path that ends in a number has that status."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        status = int(self.path[-3:]) if self.path[-3:].isdigit() else 200
        seen = {"method": self.command, "path": self.path, "body": body, "type": self.headers.get("Content-Type")}
        content = b"" if status == 204 else json.dumps(seen).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


def listening(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    airflow, door = listening(Airflow), listening(mwaa.MwaaHandler)
    for name, value in {
        "MWAA_ENVIRONMENT": "here",
        "MWAA_AIRFLOW_API": f"http://127.0.0.1:{airflow.server_port}/api/v2",
        "MWAA_AIRFLOW_URL": "http://127.0.0.1:8080",
        "MWAA_BUCKET": "dags",
        "AIRFLOW_VERSION": "3.2.1",
        "AWS_ACCESS_KEY_ID": "this-key",
        "AIRFLOW_HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    yield f"http://127.0.0.1:{door.server_port}"
    for server in (airflow, door):
        server.shutdown()
        server.server_close()


def client(endpoint: str, key: str = "this-key") -> Any:
    return boto3.session.Session().client(
        "mwaa", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key="s",
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
    )  # fmt: skip


def test_a_call_of_boto3_reaches_airflow_with_path_query_and_body(endpoint: str) -> None:
    body = {"dag_run_id": "now-1", "conf": {"α": [1, None]}}
    answer = client(endpoint).invoke_rest_api(
        Name="here", Path="/dags/~/dagRuns", Method="POST", Body=body, QueryParameters={"limit": 3, "state": ["a", "b"]}
    )
    assert answer["RestApiStatusCode"] == 200
    seen = answer["RestApiResponse"]
    assert (seen["method"], seen["path"]) == ("POST", "/api/v2/dags/~/dagRuns?limit=3&state=a&state=b")
    assert (json.loads(seen["body"]), seen["type"]) == (body, "application/json")


def test_an_empty_answer_is_an_empty_document(endpoint: str) -> None:
    answer = client(endpoint).invoke_rest_api(Name="here", Path="/variables/204", Method="DELETE")
    assert (answer["RestApiStatusCode"], answer["RestApiResponse"]) == (204, {})


@pytest.mark.parametrize(("status", "name"), [(404, "RestApiClientException"), (503, "RestApiServerException")])
def test_a_refusal_of_airflow_is_the_exception_of_mwaa_with_its_status_and_text(
    endpoint: str, status: int, name: str
) -> None:
    mwaa_client = client(endpoint)
    with pytest.raises(getattr(mwaa_client.exceptions, name)) as refused:
        mwaa_client.invoke_rest_api(Name="here", Path=f"/dags/{status}", Method="GET")
    assert refused.value.response["RestApiStatusCode"] == status
    assert refused.value.response["RestApiResponse"]["path"] == f"/api/v2/dags/{status}"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"Name": "elsewhere"}, "ResourceNotFoundException"),
        ({"Path": "/" + "d" * 64}, "ValidationException"),
        ({"Method": "TRACE"}, "ValidationException"),
    ],
)
def test_what_mwaa_would_not_take_is_refused_by_its_name(endpoint: str, arguments: Any, error: str) -> None:
    with pytest.raises(ClientError) as refused:
        client(endpoint).invoke_rest_api(**({"Name": "here", "Path": "/dags", "Method": "GET"} | arguments))
    assert refused.value.response["Error"]["Code"] == error


def test_a_request_with_another_key_is_denied(endpoint: str) -> None:
    with pytest.raises(ClientError, match="not signed with this stack's key"):
        client(endpoint, key="another").invoke_rest_api(Name="here", Path="/dags", Method="GET")


def test_an_airflow_that_does_not_answer_is_said_so(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MWAA_AIRFLOW_API", "http://127.0.0.1:1/api/v2")
    with pytest.raises(ClientError, match=r"Airflow does not answer: .*refused"):
        client(endpoint).invoke_rest_api(Name="here", Path="/dags", Method="GET")


def test_the_environment_is_described(endpoint: str) -> None:
    assert client(endpoint).list_environments()["Environments"] == ["here"]
    found = client(endpoint).get_environment(Name="here")["Environment"]
    assert (found["AirflowVersion"], found["Status"], found["WebserverUrl"]) == ("3.2.1", "AVAILABLE", "127.0.0.1:8080")


@pytest.mark.parametrize(("method", "path"), inventory.refused_by_mwaa())
def test_an_operation_of_mwaa_that_is_not_here_is_refused_by_name(endpoint: str, method: str, path: str) -> None:
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=this-key/"}
    answer = requests.request(method, endpoint + re.sub(r"\{\w+\}", "here", path), headers=signed, timeout=10)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (404, "UnknownOperationException")


def test_what_fails_is_told_to_whom_has_the_key(endpoint: str, tmp_path: Path) -> None:
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=this-key/"}
    loops.check(load("local"), "airflow", endpoint, signed)
    failure = {"name": "scheduler", "reason": "ended with status 1 soon after its start", "since": 0.0}
    (tmp_path / "failing.json").write_text(json.dumps([failure]), encoding="utf-8")
    with pytest.raises(NotReady, match=r"scheduler has been failing since .*: ended with status 1 soon"):
        loops.check(load("local"), "airflow", endpoint, signed)
    assert requests.get(endpoint + "/_pinflow/loops", timeout=10).status_code == 403


def test_a_body_of_unknown_length_is_refused_and_not_read_as_the_next_request(endpoint: str) -> None:
    with requests.Session() as session:
        for _ in range(2):
            answer = session.post(f"{endpoint}/restapi/here", data=iter([b"GET /environments"]), timeout=10)
            assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (411, "ValidationException")


@pytest.mark.parametrize(("length", "status"), [("-1", 411), ("many", 411), (str(1 << 40), 413)])
def test_a_length_that_is_none_or_too_large_is_refused_before_the_body_is_read(
    endpoint: str, length: str, status: int
) -> None:
    address = urlsplit(endpoint)
    with closing(HTTPConnection(address.hostname or "", address.port, timeout=10)) as connection:
        connection.putrequest("POST", "/restapi/here")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
