"""The cluster's control endpoint: what only the driver can do, over HTTP, for notebooks and the workspace.

POST <call> with a JSON object gives JSON; `/fs/upload?path=…&overwrite=true` takes a file's bytes as its body.
It answers only requests with the token, and to no host name that a web site could have (foundation/loopback.py).
An error is `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "java.io.FileNotFoundException: …"}`.

On http.server: a web framework would be one more dependency of the cluster for 20 calls from this machine.
"""

from __future__ import annotations

import base64
import hmac
import io
import json
import sys
import traceback
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from foundation import supervised
from foundation.loopback import host_name, is_safe_host
from services.spark.failures import JavaFailure
from services.spark.files import Files
from services.spark.mounts import Mounts
from services.spark.sessions import Sessions

UPLOAD = "/fs/upload"
MAX_JSON = 400 << 20
"""Bytes of a JSON body: the DBFS API of the workspace sends up to 256 MiB in one, base64."""
MAX_LONG = 2**63 - 1
"""Java's largest number."""
MAX_DISCARDED = 64 << 20
"""Bytes that are read of an unwanted body, so that its sender gets the error."""
THREADS = 16


class Refused(Exception):
    """A request that cannot be carried out as it is."""

    def __init__(self, status: HTTPStatus, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error_code = status, error_code


class Arguments:
    """The arguments of a call; one that is missing or of a wrong type raises Refused."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        text: str = self._value(name, str, default)
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which no path and no file can hold
            raise self._invalid(name, "a text of whole characters") from None
        return text

    def number(self, name: str, default: int) -> int:
        number: int = self._value(name, int, default)
        if isinstance(number, bool) or not 0 <= number <= MAX_LONG:
            raise self._invalid(name, "a number of 0 or more, in 64 bits")
        return number

    def flag(self, name: str) -> bool:
        return cast(bool, self._value(name, bool, False))

    def data(self, name: str) -> io.BytesIO:
        try:
            return io.BytesIO(base64.b64decode(self.text(name), validate=True))
        except ValueError:
            raise self._invalid(name, "base64") from None

    def mount(self) -> tuple[str, str, str, dict[str, str]]:
        """Those of Mounts.mount and Mounts.update."""
        extra = {str(key): str(value) for key, value in self._value("extra_configs", dict, {}).items()}
        return self.text("source"), self.text("mount_point"), self.text("encryption_type", ""), extra

    def _value(self, name: str, kind: type, default: Any) -> Any:
        value = self._values.get(name)
        value = default if value is None else value
        if not isinstance(value, kind):
            raise self._invalid(name, f"a JSON {kind.__name__}")
        return value

    def _invalid(self, name: str, expected: str) -> Refused:
        return Refused(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", f"{name}: expected {expected}")


class Control:
    """The calls, by their paths."""

    def __init__(self, files: Files, mounts: Mounts, sessions: Sessions) -> None:
        driver = {"id": str(uuid.uuid4())}  # a new one after each start: this process exits with its driver
        self.files = files
        self._calls: dict[str, Callable[[Arguments], Any]] = {
            "/fs/ls": lambda of: files.ls(of.text("path")),
            "/fs/status": lambda of: files.status(of.text("path")),
            "/fs/head": lambda of: files.head(of.text("path"), of.number("max_bytes", 65536)),
            "/fs/read": lambda of: files.read(of.text("path"), of.number("offset", 0), of.number("length", 1 << 20)),
            "/fs/put": lambda of: files.write(
                of.text("path"), io.BytesIO(of.text("contents").encode()), of.flag("overwrite")
            ),
            "/fs/write": lambda of: files.write(of.text("path"), of.data("data"), of.flag("overwrite")),
            "/fs/mkdirs": lambda of: files.mkdirs(of.text("path")),
            "/fs/cp": lambda of: files.cp(of.text("from"), of.text("to"), of.flag("recurse")),
            "/fs/mv": lambda of: files.mv(of.text("from"), of.text("to"), of.flag("recurse")),
            "/fs/rm": lambda of: files.rm(of.text("path"), of.flag("recurse")),
            "/mounts/mount": lambda of: mounts.mount(*of.mount()),
            "/mounts/update": lambda of: mounts.update(*of.mount()),
            "/mounts/unmount": lambda of: mounts.unmount(of.text("mount_point")),
            "/mounts/refresh": lambda of: mounts.refresh(),
            "/mounts/list": lambda of: mounts.shown(),
            "/driver/id": lambda of: driver,
            "/sessions/close": lambda of: {"closed": sessions.close(of.text("session_id"), of.text("user_id"))},
        }

    def call(self, path: str) -> Callable[[Arguments], Any]:
        """What answers a call; raises Refused for an unknown one."""
        if path not in self._calls:
            raise Refused(HTTPStatus.NOT_FOUND, "ENDPOINT_NOT_FOUND", f"no call {path}")
        return self._calls[path]


def serve(control: Control, host: str, port: int, token: str) -> None:
    """Answer requests that carry the token, in threads of their own; returns at once. Raises OSError (port in use)."""
    server = _Server((host, port), _handler(control, host, token.encode()))
    supervised.start("control endpoint", server.serve_forever)


class _Server(HTTPServer):
    """A few threads that stay: py4j keeps a connection and a Java thread for every Python thread."""

    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="control")

    def process_request(self, request: Any, client_address: Any) -> None:
        self._threads.submit(self._answer, request, client_address)

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client went away
        except Exception:
            self.handle_error(request, client_address)  # a pool tells nobody what its threads raise
        finally:
            self.shutdown_request(request)


def _handler(control: Control, host: str, token: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            body = _Body(self.rfile, int(length) if length.isdecimal() else 0)
            status = HTTPStatus.OK
            try:
                answer = self._carry_out(body)
            except (JavaFailure, Refused) as error:
                status, answer = error.status, {"error_code": error.error_code, "message": str(error)}
            except (ConnectionError, TimeoutError):
                raise  # the client went away
            except Exception:
                # Not the request itself: it may hold keys. A traceback holds lines of code only, and the last message.
                print(traceback.format_exc(), file=sys.stderr, flush=True)
                message = "java.io.IOException: the cluster failed to do this; see its log"
                status, answer = HTTPStatus.INTERNAL_SERVER_ERROR, {"error_code": "INTERNAL_ERROR", "message": message}
            body.discard(MAX_DISCARDED)  # a connection that is closed with something unread loses the answer
            content = json.dumps({} if answer is None else answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _carry_out(self, body: _Body) -> Any:
            name = host_name(self.headers.get("Host", ""))
            if name != host and not is_safe_host(name):
                message = f"{name or 'the host name'} could be a web site's; use an IP address or a name without a dot"
                raise Refused(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", message)
            if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), b"Bearer " + token):
                raise Refused(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", "wrong or missing bearer token")
            if "Transfer-Encoding" in self.headers:  # its length is unknown; read as 0, it would write an empty file
                raise Refused(HTTPStatus.LENGTH_REQUIRED, "MALFORMED_REQUEST", "send the body with a Content-Length")
            address = urlsplit(self.path)
            if address.path == UPLOAD:
                query = dict(parse_qsl(address.query))
                return control.files.write(Arguments(query).text("path"), body, query.get("overwrite") == "true")
            if body.left > MAX_JSON:
                message = f"the body must not be larger than {MAX_JSON} bytes"
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "MAX_BLOCK_SIZE_EXCEEDED", message)
            call = control.call(address.path)
            try:
                values = json.loads(body.read(body.left) or b"{}")
            except (ValueError, RecursionError):
                values = None
            if not isinstance(values, dict):
                raise Refused(HTTPStatus.BAD_REQUEST, "MALFORMED_REQUEST", "the body is not a JSON object")
            return call(Arguments(values))

        def log_message(self, format: str, *arguments: Any) -> None:
            """No line per request: paths may be private."""

    return Handler


class _Body:
    """The body of a request; ConnectionError if the client goes away before its end."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream, self.left = stream, length

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(min(size, self.left))
        if self.left and not data:
            raise ConnectionError("the body is shorter than its Content-Length")
        self.left -= len(data)
        return data

    def discard(self, most: int) -> None:
        """Read what is left, but no more than ``most`` bytes."""
        while self.left and most > 0:
            most -= len(self.read(1 << 16))
