"""The cluster's control endpoint: what only the driver can do, over HTTP, for notebooks and the workspace.

POST <call> with a JSON object gives JSON; `/fs/upload?path=…&overwrite=true` takes a file's bytes as its body.
It answers to no host name that a web site could have (`_cannot_be_a_sites`), and only with the token.
An error is `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "java.io.FileNotFoundException: …"}`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import json
import sys
import traceback
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from foundation import supervised
from services.spark.failures import JavaFailure
from services.spark.files import Files, Source
from services.spark.mounts import Mounts
from services.spark.sessions import Sessions

UPLOAD = "/fs/upload"
MAX_JSON = 400 << 20
"""Bytes of a JSON body: the DBFS API of the workspace sends up to 256 MiB in one, base64."""
MAX_LONG = 2**63 - 1
"""Java's greatest number."""
MAX_DROPPED = 64 << 20
"""Bytes that are read of a body that nobody wants, so that its sender gets the error."""
THREADS = 16


class Refused(Exception):
    """A request that cannot be carried out as it is."""

    def __init__(self, status: HTTPStatus, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error_code = status, error_code


@dataclass(frozen=True)
class Given:
    """The values of a request; a missing value or one of a wrong type raises Refused."""

    values: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        text = cast(str, self._value(name, str, default))
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which no path and no file can hold
            raise self._wrong(name, "a text of whole characters") from None
        return text

    def number(self, name: str, default: int | None = None) -> int:
        number = cast(int, self._value(name, int, default))
        if not 0 <= number <= MAX_LONG:
            raise self._wrong(name, "a number of 0 or more, in 64 bits")
        return number

    def flag(self, name: str) -> bool:
        return cast(bool, self._value(name, bool, False))

    def texts(self, name: str) -> dict[str, str]:
        found = self._value(name, dict, {})
        return {str(key): str(value) for key, value in found.items()}

    def data(self, name: str) -> Source:
        try:
            return io.BytesIO(base64.b64decode(self.text(name), validate=True))
        except (ValueError, binascii.Error):
            raise self._wrong(name, "base64") from None

    def _value(self, name: str, kind: type, default: Any) -> Any:
        value = self.values.get(name)
        value = default if value is None else value
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._wrong(name, f"a JSON {kind.__name__}")
        return value

    def _wrong(self, name: str, expected: str) -> Refused:
        return Refused(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", f"{name}: expected {expected}")


class Control:
    """The calls."""

    def __init__(self, files: Files, mounts: Mounts, sessions: Sessions) -> None:
        self.files, self.mounts, self.sessions = files, mounts, sessions
        self._id = str(uuid.uuid4())

    def call(self, path: str) -> Callable[[Given], Any]:
        """What answers a call; raises Refused for an unknown one."""
        name = path.strip("/").replace("/", "_")
        found = getattr(self, name, None) if name.startswith(("fs_", "mounts_", "sessions_", "driver_")) else None
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, "ENDPOINT_NOT_FOUND", f"no call {path}")
        return cast(Callable[[Given], Any], found)

    def fs_ls(self, given: Given) -> list[dict[str, Any]]:
        return self.files.ls(given.text("path"))

    def fs_status(self, given: Given) -> dict[str, Any]:
        return self.files.status(given.text("path"))

    def fs_head(self, given: Given) -> dict[str, Any]:
        return self.files.head(given.text("path"), given.number("max_bytes", 65536))

    def fs_read(self, given: Given) -> dict[str, Any]:
        return self.files.read(given.text("path"), given.number("offset", 0), given.number("length", 1 << 20))

    def fs_put(self, given: Given) -> dict[str, Any]:
        contents = io.BytesIO(given.text("contents").encode())
        return self.files.write(given.text("path"), contents, given.flag("overwrite"))

    def fs_write(self, given: Given) -> dict[str, Any]:
        return self.files.write(given.text("path"), given.data("data"), given.flag("overwrite"))

    def fs_mkdirs(self, given: Given) -> dict[str, Any]:
        return self.files.mkdirs(given.text("path"))

    def fs_cp(self, given: Given) -> dict[str, Any]:
        return self.files.cp(given.text("from"), given.text("to"), given.flag("recurse"))

    def fs_mv(self, given: Given) -> dict[str, Any]:
        return self.files.mv(given.text("from"), given.text("to"), given.flag("recurse"))

    def fs_rm(self, given: Given) -> dict[str, Any]:
        return self.files.rm(given.text("path"), given.flag("recurse"))

    def mounts_mount(self, given: Given) -> dict[str, Any]:
        self.mounts.mount(*_mount(given))
        return {}

    def mounts_update(self, given: Given) -> dict[str, Any]:
        self.mounts.update(*_mount(given))
        return {}

    def mounts_unmount(self, given: Given) -> dict[str, Any]:
        self.mounts.unmount(given.text("mount_point"))
        return {}

    def mounts_refresh(self, given: Given) -> dict[str, Any]:
        self.mounts.refresh()
        return {}

    def mounts_list(self, given: Given) -> list[dict[str, str]]:
        shown = [
            {"mountPoint": mount.point, "source": mount.source, "encryptionType": mount.encryption}
            for mount in self.mounts.all()
        ]
        return [*shown, {"mountPoint": "/", "source": "DatabricksRoot", "encryptionType": ""}]

    def driver_id(self, given: Given) -> dict[str, str]:
        """Another one after each start: this process ends with its driver."""
        return {"id": self._id}

    def sessions_close(self, given: Given) -> dict[str, Any]:
        return {"closed": self.sessions.close(given.text("session_id"), given.text("user_id"))}


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
            self.handle_error(request, client_address)  # a pool keeps what its threads raise to itself
        finally:
            self.shutdown_request(request)


def _handler(control: Control, host: str, token: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            body = _Body(self.rfile, int(length) if length.isdecimal() else 0)
            try:
                answer = self._carry_out(body)
            except (JavaFailure, Refused) as error:
                status, answer = error.status, {"error_code": error.error_code, "message": str(error)}
            except (ConnectionError, TimeoutError):
                raise  # the client went away
            except Exception:
                # Not the request itself: it may hold keys. A traceback holds lines of code only, and the last message.
                print(traceback.format_exc(), file=sys.stderr, flush=True)
                message = "java.io.IOException: the cluster failed to do this; its log says why"
                status, answer = HTTPStatus.INTERNAL_SERVER_ERROR, {"error_code": "INTERNAL_ERROR", "message": message}
            else:
                status = HTTPStatus.OK
            # A connection that is closed with something unread loses the answer.
            body.drop(MAX_DROPPED)
            self._answer(status, answer)

        def _carry_out(self, body: _Body) -> Any:
            name = _host_name(self.headers.get("Host", ""))
            if name != host and not _cannot_be_a_sites(name):
                message = f"{name or 'the host name'} could be a web site's; use an IP address or a name without a dot"
                raise Refused(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", message)
            known = hmac.compare_digest(self.headers.get("Authorization", "").encode(), b"Bearer " + token)
            if not known:
                raise Refused(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", "wrong or missing bearer token")
            if "Transfer-Encoding" in self.headers:  # its length is unknown; taken for 0, it would write an empty file
                raise Refused(HTTPStatus.LENGTH_REQUIRED, "MALFORMED_REQUEST", "send the body with a Content-Length")
            address = urlsplit(self.path)
            if address.path == UPLOAD:
                query = dict(parse_qsl(address.query))
                return control.files.write(Given(query).text("path"), body, query.get("overwrite") == "true")
            if body.left > MAX_JSON:
                message = f"the body must not be larger than {MAX_JSON} bytes"
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "MAX_BLOCK_SIZE_EXCEEDED", message)
            call = control.call(address.path)
            return call(Given(self._json(body.read(body.left))))

        def _json(self, body: bytes) -> dict[str, Any]:
            try:
                values = json.loads(body or b"{}")
            except (ValueError, RecursionError):
                values = None
            if not isinstance(values, dict):
                raise Refused(HTTPStatus.BAD_REQUEST, "MALFORMED_REQUEST", "the body is not a JSON object")
            return values

        def _answer(self, status: HTTPStatus, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """No line per request: paths may be what a person wants to keep."""

    return Handler


def _host_name(header: str) -> str:
    """Without the port; empty if it cannot be read."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _cannot_be_a_sites(name: str) -> bool:
    """As the workspace's auth.py judges, which is not in the cluster's image: a site can resolve to 127.0.0.1."""
    try:
        ip_address(name)
    except ValueError:
        return bool(name) and ("." not in name or name.endswith((".localhost", ".internal")))
    return True


class _Body:
    """The body of a request, to read from; ConnectionError if the client goes away before its end."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream, self.left = stream, length

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(min(size, self.left))
        if self.left and not data:
            raise ConnectionError("the body is shorter than its Content-Length")
        self.left -= len(data)
        return data

    def drop(self, most: int) -> None:
        """Read what is left, but no more than ``most`` bytes."""
        while self.left and most > 0:
            most -= len(self.read(1 << 16))


def _mount(given: Given) -> tuple[str, str, str, dict[str, str]]:
    return (
        given.text("source"),
        given.text("mount_point"),
        given.text("encryption_type", ""),
        given.texts("extra_configs"),
    )
