"""MWAA's own API, as far as boto3's `mwaa` client needs it to use an environment.

`invoke_rest_api` hands path, method, query and body to Airflow's REST API and wraps the answer; `list_environments` and
`get_environment` describe the one environment. Requests must be signed with the key that the service was started with:
the signature itself is not checked, but no web page can send that header. Standard library only, see start.py.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CALLS = {
    ("GET", "/environments"): "stand-in",
    ("GET", "/environments/{Name}"): "stand-in",
    ("POST", "/restapi/{Name}"): "real",
}
"""The calls of MWAA that are answered, and by whom: this module, or Airflow itself."""
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
LONGEST_PATH = 64
"""RestApiPath in botocore's model of the service."""
TIMEOUT = 60.0
MAX_BODY = 6 << 20
"""Bytes of a request; a DAG run's `conf` and what else Airflow's API takes are far smaller."""
FAILING = "failing.json"
"""In AIRFLOW_HOME: the programs that start.py sees fail."""
# By its path: neither the project nor services/ may be on Airflow's search path, for both have folders of that name.
supervised = runpy.run_path(str(Path(__file__).resolve().parents[2] / "foundation" / "supervised.py"))


class Refused(Exception):
    """An answer of MWAA's own that is not 200: the name of its exception, HTTP status, document or message."""

    def __init__(self, name: str, status: int, answer: dict[str, Any] | str) -> None:
        super().__init__(name)
        self.name, self.status = name, status
        self.document = {"message": answer} if isinstance(answer, str) else answer


class MwaaHandler(BaseHTTPRequestHandler):
    """One request; the environment variables of this process describe the one MWAA environment."""

    protocol_version = "HTTP/1.1"
    server_version = "mwaa"
    timeout = 60  # seconds without a byte

    def do_GET(self) -> None:
        headers = {"Content-Type": "application/json"}
        try:
            body = self._body()
            check_key(self.headers.get("Authorization", ""))
            status, document = 200, failing() if self.path == supervised["PATH"] else self._document(body)
        except Refused as refused:
            status, document = refused.status, refused.document
            headers["x-amzn-ErrorType"] = refused.name
        content = json.dumps(document).encode()
        if self.close_connection:
            headers["Connection"] = "close"
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: Airflow logs each request itself."""

    def _body(self) -> bytes:
        """The body; raises Refused, and closes the connection, where its length is missing or over MAX_BODY."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise Refused("ValidationException", 411, "Send the body with a Content-Length.")
        if int(length) > MAX_BODY:
            self.close_connection = True
            raise Refused("ValidationException", 413, f"The body is larger than {MAX_BODY} bytes.")
        return self.rfile.read(int(length))

    def _document(self, body: bytes) -> dict[str, Any]:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        environment = os.environ["MWAA_ENVIRONMENT"]
        operation, _, name = path.lstrip("/").partition("/")
        if (self.command, f"/{operation}" + ("/{Name}" if name else "")) not in CALLS:
            message = f"{self.command} {path} is not supported by this stand-in"
            raise Refused("UnknownOperationException", 404, message)
        if not name:
            return {"Environments": [environment]}
        if name != environment:
            message = f"Environment {name} not found; the one here is {environment}."
            raise Refused("ResourceNotFoundException", 404, message)
        return invoke(body) if operation == "restapi" else {"Environment": describe(environment)}


def failing() -> list[dict[str, Any]]:
    """What fails of this service, for `make status`: loops of this process, and programs that start.py runs."""
    try:
        programs = json.loads((Path(os.environ["AIRFLOW_HOME"]) / FAILING).read_text(encoding="utf-8"))
    except FileNotFoundError:
        programs = []
    return [*programs, *supervised["failing"]()]


def check_key(authorization: str) -> None:
    """Raise Refused unless the request says that it was signed with the access key of this stack."""
    found = re.match(r"AWS4-HMAC-SHA256 Credential=([^/]+)/", authorization)
    if found is None or found[1] != os.environ.get("AWS_ACCESS_KEY_ID", "test"):
        raise Refused("AccessDeniedException", 403, "The request is not signed with this stack's key.")


def invoke(body: bytes) -> dict[str, Any]:
    """One call of Airflow's REST API; raises Refused as MWAA does when Airflow's status is not 2xx."""
    request = airflow_request(body)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return {"RestApiStatusCode": answer.status, "RestApiResponse": document_of(answer.read())}
    except urllib.error.HTTPError as error:
        name = "RestApiClientException" if error.code < 500 else "RestApiServerException"
        document = {"RestApiStatusCode": error.code, "RestApiResponse": document_of(error.read())}
        raise Refused(name, 400, document) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Refused("InternalServerException", 500, f"Airflow does not answer: {reason}") from None


def airflow_request(body: bytes) -> urllib.request.Request:
    """The request to Airflow that `invoke_rest_api` asks for; raises Refused (ValidationException)."""
    try:
        asked = json.loads(body)
        path, method, parameters = asked["Path"], asked["Method"], asked.get("QueryParameters") or {}
        if not (isinstance(path, str) and isinstance(parameters, dict)):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        raise Refused("ValidationException", 400, "Path and Method are required.") from None
    if method not in METHODS:
        raise Refused("ValidationException", 400, f"Method must be one of {', '.join(METHODS)}.")
    if not 1 <= len(path) <= LONGEST_PATH:
        message = f"Path must have 1 to {LONGEST_PATH} characters, this one has {len(path)}."
        raise Refused("ValidationException", 400, message)
    # As in a browser's address: a path may hold characters that a request line may not.
    url = os.environ["MWAA_AIRFLOW_API"] + urllib.parse.quote("/" + path.lstrip("/"), safe="/~:+@%,=")
    if query := urllib.parse.urlencode(parameters, doseq=True):
        url += f"?{query}"
    content = json.dumps(asked["Body"]).encode() if asked.get("Body") is not None else None
    return urllib.request.Request(url, content, {"Content-Type": "application/json"}, method=method)


def document_of(content: bytes) -> Any:
    """Airflow's answer; an empty one is an empty document, a text is wrapped."""
    try:
        return json.loads(content) if content else {}
    except ValueError:
        return {"detail": content.decode(errors="replace")}


def describe(environment: str) -> dict[str, Any]:
    """The environment as `get_environment` shows it, as far as it exists here."""
    return {
        "Name": environment,
        "Status": "AVAILABLE",
        "AirflowVersion": os.environ["AIRFLOW_VERSION"],
        "SourceBucketArn": f"arn:aws:s3:::{os.environ['MWAA_BUCKET']}",
        "DagS3Path": "dags",
        "RequirementsS3Path": "requirements.txt",
        "WebserverUrl": urllib.parse.urlsplit(os.environ["MWAA_AIRFLOW_URL"]).netloc,
    }


def serve() -> None:
    """Listen on MWAA_LISTEN (address:port) for ever."""
    host, _, port = os.environ["MWAA_LISTEN"].rpartition(":")
    ThreadingHTTPServer((host, int(port)), MwaaHandler).serve_forever()
