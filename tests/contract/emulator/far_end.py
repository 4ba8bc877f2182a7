"""A real HTTP service on loopback that answers as the REST proxy and Kinesis do, and misbehaves as it is told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request as it arrived."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def topic(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def values(self) -> list[Any]:
        return [record["value"] for record in json.loads(self.body)["records"]]


Reply = Callable[["Handler", Received], None]


class FarEnd:
    """``replies`` are used up one a request, then `usual` takes over; ``acknowledged`` is what it said yes to.

    A GET of a topic is no request in this sense: `lookup` answers it, and it is in ``looked_at``.
    """

    def __init__(self, port: int = 0) -> None:
        self.replies: deque[Reply] = deque()
        self.usual: Reply = either
        self.lookup: Reply = topic_is_there
        self.looked_at: list[Received] = []
        self.received: list[Received] = []
        self.acknowledged: dict[str, list[Any]] = {}
        self.most_at_once = 0
        self._at_once = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._server.far_end = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/dev"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def answer(self, handler: Handler, request: Received) -> None:
        if request.method == "GET" and "/topics/" in request.path:
            self.looked_at.append(request)
            return self.lookup(handler, request)
        with self.lock:
            self.received.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            reply = self.replies.popleft() if self.replies else self.usual
        try:
            reply(handler, request)
        finally:
            with self.lock:
                self._at_once -= 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def far_end(self) -> FarEnd:
        return self.server.far_end  # type: ignore[attr-defined, no-any-return]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.far_end.answer(self, Received(time.monotonic(), self.command, self.path, dict(self.headers), body))

    do_GET = do_PUT = do_POST

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the test's stderr."""


def topic_is_there(handler: Handler, request: Received) -> None:
    """A topic's description; as the REST proxy has it, in its own media type alone."""
    if not request.headers.get("Content-Type", "application/vnd.kafka.").startswith("application/vnd.kafka."):
        error(415, 415)(handler, request)
    else:
        status(200, json.dumps({"name": request.topic, "configs": {}, "partitions": []}))(handler, request)


def acknowledge(handler: Handler, request: Received) -> None:
    """Every record is written."""
    entries({})(handler, request)


def either(handler: Handler, request: Received) -> None:
    """Every record is written, by the REST proxy or by Kinesis."""
    (kinesis({}) if "/streams/" in request.path else acknowledge)(handler, request)


def entries(codes: dict[int, int]) -> Reply:
    """A 200 in which the records at these places have these error codes."""

    def reply(handler: Handler, request: Received) -> None:
        offsets: list[dict[str, Any]] = []
        for place, value in enumerate(request.values):
            code = codes.get(place)
            if code is None:
                with handler.far_end.lock:
                    written = handler.far_end.acknowledged.setdefault(request.topic, [])
                    written.append(value)
                offsets.append({"partition": 0, "offset": len(written) - 1, "error_code": None, "error": None})
            else:
                offsets.append({"partition": None, "offset": None, "error_code": code, "error": "as told"})
        body = {"offsets": offsets, "key_schema_id": None, "value_schema_id": None}
        handler.send(200, json.dumps(body).encode(), {"Content-Type": "application/vnd.kafka.v2+json"})

    return reply


def kinesis(codes: dict[int, str]) -> Reply:
    """Kinesis' 200 to PutRecord and PutRecords, in which the records at these places have these ErrorCodes."""

    def reply(handler: Handler, request: Received) -> None:
        _, _, _, stream, call = request.path.split("/")
        body = json.loads(request.body)
        rows = [body["Data"]] if call == "record" else [record["data"] for record in body["records"]]
        answers: list[dict[str, Any]] = []
        for place, row in enumerate(rows):
            if code := codes.get(place):
                answers.append({"ErrorCode": code, "ErrorMessage": "as told"})
                continue
            with handler.far_end.lock:
                written = handler.far_end.acknowledged.setdefault(stream, [])
                written.append(row)
            answers.append({"SequenceNumber": str(len(written)), "ShardId": "shardId-000000000000"})
        failed = sum("ErrorCode" in answer for answer in answers)
        whole = answers[0] if call == "record" else {"FailedRecordCount": failed, "Records": answers}
        handler.send(200, json.dumps(whole).encode(), {"Content-Type": "application/x-amz-json-1.1"})

    return reply


def kinesis_error(kind: str, code: int = 400) -> Reply:
    """Kinesis' own error, as API Gateway hands it on."""
    return status(code, json.dumps({"__type": kind, "message": "as told"}))


def status(code: int, body: str = "", headers: dict[str, str] | None = None) -> Reply:
    """This status with this body."""
    return lambda handler, request: handler.send(code, body.encode(), headers)


def error(code: int, error_code: int, message: str = "as told") -> Reply:
    """The REST proxy's own error body."""
    return status(code, json.dumps({"error_code": error_code, "message": message}))


def reset(handler: Handler, request: Received) -> None:
    """The connection is torn down without an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def slow(seconds: float, then: Reply = acknowledge) -> Reply:
    """The answer comes late; what it acknowledges is written all the same."""

    def reply(handler: Handler, request: Received) -> None:
        time.sleep(seconds)
        try:
            then(handler, request)
        except OSError:  # the other side has gone
            handler.close_connection = True

    return reply


def refuse_when(spoilt: Callable[[Any], bool], code: int, error_code: int | None) -> Reply:
    """The whole request is refused if it holds a spoilt record, as the proxy does."""

    def reply(handler: Handler, request: Received) -> None:
        if any(spoilt(value) for value in request.values):
            (error(code, error_code) if error_code else status(code, '{"message": "Request Too Long"}'))(
                handler, request
            )
        else:
            acknowledge(handler, request)

    return reply
