"""Finds the call that a request means, by the rules of JAX-RS as Jersey implements them.

The order decides which error a request with several faults gets: path (404), method (405), type of the body (415),
type of the answer (406), parameters in the path (404), then the call itself. Paths are matched as they were sent:
percent-encoded characters are no separators, matrix parameters (``;a=b``) are dropped, and one slash at the end is
ignored. An answer has the negotiated type; an error before the negotiation has none.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from kafka.errors import KafkaError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.rest_proxy import documents
from services.rest_proxy.errors import RestError, Unreadable, http_error, kafka_failure
from services.rest_proxy.media import ONLY_V2, V2, Offer, content_type, negotiate

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

# The order in which Jersey lists them for OPTIONS.
_METHODS = ("HEAD", "DELETE", "POST", "GET", "OPTIONS")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Call:
    """A method of a path, the types of the body that it accepts, and those of its answer."""

    method: str
    path: str
    handler: Handler
    consumes: tuple[str, ...] = (V2,)
    produces: Offer = ONLY_V2


class Calls:
    """The calls of the API as an ASGI application."""

    def __init__(self, calls: list[Call]) -> None:
        self._paths: dict[str, dict[str, Call]] = {}
        for call in calls:
            pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", call.path.rstrip("/"))
            self._paths.setdefault(pattern, {})[call.method] = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        if scope["method"] == "HEAD":
            response.body, response.headers["content-length"] = b"", "0"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        media_type = None
        try:
            calls, texts = self._find(request.scope["raw_path"].decode("latin-1"))
            if request.method == "OPTIONS":
                return _options(calls)
            call = calls.get("GET" if request.method == "HEAD" else request.method)
            if call is None:
                raise http_error(405)
            content_type(request.headers.get("content-type"), call.consumes)
            media_type = negotiate(request.headers.get("accept"), call.produces)
            request.scope["answer_type"] = media_type
            request.scope["path_params"] = {name: _parameter(name, text) for name, text in texts.items()}
            response = await call.handler(request)
        except Exception as error:
            return failure(error, media_type)
        if response.body:
            response.headers.setdefault("content-type", media_type)
        return response

    def _find(self, raw_path: str) -> tuple[dict[str, Call], dict[str, str]]:
        """The calls of a path by method, and the texts of its parameters."""
        if _BROKEN_ESCAPE.search(raw_path):
            raise Unreadable
        path = "/" + re.sub(r";[^/]*", "", raw_path).partition("/")[2]
        for pattern, calls in self._paths.items():
            if match := re.fullmatch(pattern, path.removesuffix("/")):
                return calls, match.groupdict()
        raise http_error(404)


def answer_type(request: Request) -> str:
    """The type that was negotiated for the answer, without parameters."""
    negotiated: str = request.scope["answer_type"]
    return negotiated.partition(";")[0].lower()


def failure(error: Exception, media_type: str | None) -> Response:
    """Any failure as the API writes it; an unexpected one is 500, and its traceback is in the log."""
    if isinstance(error, Unreadable):
        return Response(error.PAGE, 400, {"content-type": "text/html;charset=iso-8859-1"})
    if isinstance(error, KafkaError):
        error = kafka_failure(error)
    if not isinstance(error, RestError):
        if not isinstance(error, ClientDisconnect):
            log.error("a request failed", exc_info=error)
        error = http_error(500)
    body = documents.dump({"error_code": error.code, "message": error.message})
    if error.status == 415:
        media_type = "application/json"
    return Response(body, error.status, {"content-type": media_type} if media_type else None)


def whole_number(text: str, bits: int) -> int:
    """A whole number in a path or a query, as Java parses it; raises 404 for anything else."""
    if re.fullmatch(r"[+-]?\d{1,30}", text) and -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
        return int(text)
    raise http_error(404)


def _parameter(name: str, text: str) -> Any:
    decoded = unquote(text, errors="replace")
    return whole_number(decoded, 32) if name == "partition" else decoded


def _options(calls: dict[str, Call]) -> Response:
    known = {*calls, "OPTIONS", *(["HEAD"] if "GET" in calls else [])}
    methods = [method for method in _METHODS if method in known]
    return Response(", ".join(methods), 200, {"content-type": "text/plain", "allow": ",".join(methods)})
