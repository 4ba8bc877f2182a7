"""Kafka Connect's REST API, statuses and bodies as recorded from Apache Kafka Connect 4.3.1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from foundation import supervised
from services.connect import options
from services.connect.worker import RestError, Worker

MAX_BODY = 4 << 20
"""Bytes of a body: a connector's configuration is a few kB."""
_STATES = {"RUNNING": "STARTED", "PAUSED": "PAUSED", "STOPPED": "STOPPED"}


class Call:
    """One request to the API, with its body as JSON; None without one."""

    def __init__(self, request: Request, body: Any) -> None:
        self.query = request.query_params
        self.body = body
        parts = {part: unquote(value) for part, value in request.path_params.items()}
        self.name, self.plugin, self._task = (parts.get(part, "") for part in ("name", "plugin", "task"))

    @property
    def task(self) -> int:
        """The task's number; raises 404 for what is no number."""
        if not re.fullmatch(r"-?[0-9]{1,9}", self._task):
            raise RestError(404, "HTTP 404 Not Found")
        return int(self._task)

    def flag(self, name: str) -> bool:
        """Whether a query parameter is true."""
        return self.query.get(name, "false").lower() == "true"


Handler = Callable[[Worker, Call], Any]
"""Carries a call out and returns the JSON of a 200, a Response, or None for an answer without body."""


class Endpoint(NamedTuple):
    """One call of the API, and the status of its answer if that has no body."""

    method: str
    path: str
    handler: Handler
    empty: int = 204


def application(worker: Worker) -> Starlette:
    """The ASGI application for a started worker."""
    methods: dict[str, set[str]] = {}
    for one in _ENDPOINTS:
        methods.setdefault(one.path, {"OPTIONS"}).update({"GET", "HEAD"} if one.method == "GET" else {one.method})

    def route(one: Endpoint) -> Route:
        async def endpoint(request: Request) -> Response:
            if not _accepts_json(request.headers.get("accept", "*/*")):
                raise HTTPException(406)
            call = Call(request, await _body(request) if one.method in ("PUT", "POST", "PATCH") else None)
            result = await run_in_threadpool(one.handler, worker, call)
            if result is None:
                return Response(status_code=one.empty)
            return result if isinstance(result, Response) else JSONResponse(result)

        return Route(one.path, endpoint, methods=[one.method])

    def options_route(path: str, allowed: list[str]) -> Route:
        async def endpoint(request: Request) -> Response:
            return Response(", ".join(allowed), headers={"Allow": ",".join(allowed), "Content-Type": "text/plain"})

        return Route(path, endpoint, methods=["OPTIONS"])

    routes = [route(one) for one in _ENDPOINTS]
    routes += [options_route(path, sorted(allowed)) for path, allowed in methods.items()]
    handlers = {RestError: _rest_error, HTTPException: _http_error, Exception: _unexpected}
    return Starlette(routes=routes, middleware=[Middleware(_PathAsSent)], exception_handlers=handlers)


class _PathAsSent:
    """Routes by the path as it was sent, without matrix parameters and with or without a slash at its end.

    Refuses, in Jetty's way, what Jetty finds ambiguous or suspicious in it, above all a `/` in a connector's name.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["raw_path"].decode("latin-1")
            if problem := _ambiguous(path):
                await _as_jetty(scope["method"], problem)(scope, receive, send)
                return
            scope = {**scope, "path": re.sub(r";[^/]*", "", path).removesuffix("/") or "/"}
        await self._app(scope, receive, send)


def _ambiguous(path: str) -> str | None:
    """Why Jetty 12 refuses a path, in its words; None if it does not."""
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", path):
        return "Bad Request"
    if re.search(r"(?i)%2f", path):
        return "Ambiguous URI path separator"
    if "%25" in path:
        return "Ambiguous URI path encoding"
    if re.search(r"(?i)/(%2e|\.)(%2e|\.)?(?=/|;|$)", path) and "%" in path:
        return "Ambiguous URI path segment"
    if "//" in path:
        return "Ambiguous URI empty segment"
    if re.search(r"(?i)%5c|%7f|%[01][0-9a-f]|\\", path):
        return "Suspicious Path Character"
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return "Bad UTF-8 encoding"
    return None


def _as_jetty(method: str, problem: str) -> Response:
    if method not in ("GET", "HEAD", "POST"):
        return Response(status_code=400)  # Jetty writes a page for these three only
    page = f"<html>\n<head>\n<title>Error 400 {problem}</title>\n</head>\n<body>\n<h2>HTTP ERROR 400 {problem}</h2>\n"
    page += f"<table>\n<tr><th>STATUS:</th><td>400</td></tr>\n<tr><th>MESSAGE:</th><td>{problem}</td></tr>\n</table>\n"
    return Response(page + "</body>\n</html>\n", 400, {"Content-Type": "text/html;charset=iso-8859-1"})


def _accepts_json(accept: str) -> bool:
    """Whether one of the media types of an Accept header is JSON; their weights do not count, as in Jersey."""
    types = {one.partition(";")[0].strip().lower() for one in accept.split(",")}
    return not types.isdisjoint({"application/json", "application/*", "*/*", ""})


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error_code": status, "message": message}, status)


def _rest_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RestError)
    return _error(error.status, error.message)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _error(error.status_code, f"HTTP {error.status_code} {error.detail}")
    del answer.headers["content-type"]  # the real worker's answer has none where no resource took the request
    return answer


def _unexpected(request: Request, error: Exception) -> Response:
    return _error(500, f"{type(error).__name__}: {error}")


async def _body(request: Request) -> Any:
    """The request's JSON, None if it has none. Statuses as the real worker's: 415 for a type, 500 for bad JSON."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise RestError(413, f"HTTP 413 Request Entity Too Large: the limit is {MAX_BODY} bytes")
    if not raw:
        return None
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RestError(500, f"The request's body is not JSON: {error}") from None


def _properties(value: Any) -> dict[str, str | None]:
    """A configuration object with its values as text, as Jackson turns them into strings."""
    if not isinstance(value, dict):
        raise RestError(500, "A configuration must be a JSON object of texts")
    return {name: None if item is None else _text(name, item) for name, item in value.items()}


def _text(name: str, value: Any) -> str:
    if isinstance(value, dict | list):
        raise RestError(500, f"Cannot deserialize the value of {name}: expected a text")
    return value if isinstance(value, str) else json.dumps(value)


def _fields(body: Any, *known: str) -> dict[str, Any]:
    """A body that is an object of these fields; any other is a 500, as where Jackson cannot make its class of it."""
    if not isinstance(body, dict):
        raise RestError(500, f"The body must be a JSON object of: {', '.join(known)}")
    for name in body:
        if name not in known:
            raise RestError(500, f'Unrecognized field "{name}", not marked as ignorable (known: {", ".join(known)})')
    return body


def _root(worker: Worker, call: Call) -> Any:
    version = {"version": "pinflow stand-in for Kafka Connect", "commit": "stand-in"}
    return {**version, "kafka_cluster_id": worker.cluster_id}


def _list(worker: Worker, call: Call) -> Any:
    expand = call.query.getlist("expand")
    if not expand:
        return worker.names()
    parts = {"status": worker.status, "info": worker.info}
    found = {}
    for name in worker.names():
        with suppress(RestError):  # it has no status yet, or was deleted meanwhile
            found[name] = {kind: get(name) for kind, get in parts.items() if kind in expand}
    return found


def _created(worker: Worker, name: str) -> Response:
    location = {"location": f"http://{worker.id}/connectors/{quote(name, safe='')}"}
    return JSONResponse({**worker.info(name), "tasks": []}, 201, headers=location)


def _create(worker: Worker, call: Call) -> Any:
    fields = _fields(call.body, "config", "name", "initial_state")
    properties = _properties(fields.get("config"))
    name = _text("name", fields.get("name") or "").strip()
    state = fields.get("initial_state")
    if state is not None and str(state).upper() not in _STATES:
        raise RestError(500, f"initial_state {state}: expected RUNNING, PAUSED or STOPPED")
    worker.put(name, properties, state=None if state is None else _STATES[str(state).upper()], create=True)
    return _created(worker, name)


def _put_config(worker: Worker, call: Call) -> Any:
    if worker.put(call.name, _properties(call.body)):
        return _created(worker, call.name)
    return worker.info(call.name)


def _restart(worker: Worker, call: Call) -> Any:
    status = worker.restart(call.name, tasks=call.flag("includeTasks"), only_failed=call.flag("onlyFailed"))
    return None if status is None else JSONResponse(status, 202)


def _altered(what: str) -> dict[str, str]:
    return {
        "message": f"The Connect framework-managed offsets for this connector have been {what} successfully. However, "
        f"if this connector manages offsets externally, they will need to be manually {what} in the system that the "
        "connector uses."
    }


def _alter_offsets(worker: Worker, call: Call) -> Any:
    entries = _fields(call.body, "offsets").get("offsets")
    if not entries:
        raise RestError(400, "Partitions / offsets need to be provided for an alter offsets request")
    worker.info(call.name)  # an absent connector is a 404 before the offsets are looked at
    worker.alter_offsets(call.name, [_offset(entry) for entry in entries])
    return _altered("altered")


def _offset(entry: Any) -> tuple[str, int, int | None]:
    """Topic, partition and offset of one entry; the offset is None where it is to be deleted."""
    fields = _fields(entry, "partition", "offset")
    partition, offset = fields.get("partition"), fields.get("offset")
    if partition is None:
        raise RestError(400, "The partition for a sink connector offset cannot be null or missing")
    if not isinstance(partition, dict) or not isinstance(offset, dict | None):
        raise RestError(500, "A partition and an offset must be JSON objects")
    topic = partition.get("kafka_topic")
    if topic is None or partition.get("kafka_partition") is None:
        keys = "'kafka_topic' and 'kafka_partition'"
        raise RestError(400, f"The partition for a sink connector offset must contain the keys {keys}")
    number = _integer(partition["kafka_partition"], "partition")
    if offset is None:
        return str(topic), number, None
    if offset.get("kafka_offset") is None:
        either = "should either be null or contain the key 'kafka_offset'"
        raise RestError(400, f"The offset for a sink connector {either}")
    return str(topic), number, _integer(offset["kafka_offset"], "offset")


def _integer(value: Any, what: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", str(value)):
        raise RestError(
            400,
            f"Failed to parse the following Kafka {what} value in the provided offsets: '{value}'. "
            f"{what.capitalize()} values for sink connectors need to be integers.",
        )
    return int(value)


def _reset_offsets(worker: Worker, call: Call) -> Any:
    worker.reset_offsets(call.name)
    return _altered("reset")


def _definition(option: options.Option) -> dict[str, Any]:
    about = f"{option.support.value} by this stand-in" + (f": {option.why}" if option.why else "")
    return {
        "name": option.name,
        "type": option.kind,
        "required": option.required,
        "default_value": option.default,
        "importance": option.importance,
        "documentation": about,
        "group": option.group,
        "order_in_group": option.order,
        "width": option.width,
        "display_name": option.display or option.name,
        "dependents": list(option.dependents),
    }


def _plugin_config(worker: Worker, call: Call) -> Any:
    if call.plugin not in options.OPTIONS["connector.class"].allowed:
        raise RestError(404, f"Unknown plugin {call.plugin}.")
    return [_definition(option) for option in options.STORAGE]


def _validate(worker: Worker, call: Call) -> Any:
    config = _properties(call.body)
    included = config.get("connector.class")
    if included is not None and not included.removesuffix("Connector").endswith(call.plugin.removesuffix("Connector")):
        raise RestError(400, f"Included connector type {included} does not match request type {call.plugin}")
    values, found = worker.validate(config)
    shown = [option for option in options.OPTIONS.values() if option.name in config or not option.listed_if_set]
    shown += [options.Option(name) for name in found if name not in options.OPTIONS]
    configs = [
        {
            "definition": _definition(option),
            "value": {
                "name": option.name,
                "value": values.get(option.name),
                "recommended_values": list(option.allowed) if len(option.allowed) > 1 else [],
                "errors": found.get(option.name, []),
                "visible": True,
            },
        }
        for option in shown
    ]
    groups = list(dict.fromkeys(option.group for option in shown if option.group))
    count = sum(len(messages) for messages in found.values())
    return {"name": options.CONNECTOR_CLASS, "error_count": count, "groups": groups, "configs": configs}


_HEALTH = {"status": "healthy", "message": "Worker has completed startup and is ready to handle requests."}
_PLUGINS = [{"class": options.CONNECTOR_CLASS, "type": "sink", "version": options.VERSION}]

_CONNECTOR = "/connectors/{name}"
_PLUGIN = "/connector-plugins/{plugin}/config"

_ENDPOINTS = [
    Endpoint("GET", "/", _root),
    Endpoint("GET", "/health", lambda worker, call: _HEALTH),
    Endpoint("GET", supervised.PATH, lambda worker, call: supervised.failing()),
    Endpoint("GET", "/connectors", _list),
    Endpoint("POST", "/connectors", _create),
    Endpoint("GET", _CONNECTOR, lambda worker, call: worker.info(call.name)),
    Endpoint("DELETE", _CONNECTOR, lambda worker, call: worker.delete(call.name)),
    Endpoint("GET", f"{_CONNECTOR}/config", lambda worker, call: worker.info(call.name)["config"]),
    Endpoint("PUT", f"{_CONNECTOR}/config", _put_config),
    Endpoint("PATCH", f"{_CONNECTOR}/config", lambda worker, call: worker.patch(call.name, _properties(call.body))),
    Endpoint("GET", f"{_CONNECTOR}/status", lambda worker, call: worker.status(call.name)),
    Endpoint("GET", f"{_CONNECTOR}/tasks", lambda worker, call: worker.tasks(call.name)),
    Endpoint(
        "GET", f"{_CONNECTOR}/tasks/{{task}}/status", lambda worker, call: worker.task_status(call.name, call.task)
    ),
    Endpoint(
        "POST", f"{_CONNECTOR}/tasks/{{task}}/restart", lambda worker, call: worker.restart_task(call.name, call.task)
    ),
    Endpoint("GET", f"{_CONNECTOR}/topics", lambda worker, call: {call.name: {"topics": worker.topics(call.name)}}),
    Endpoint("PUT", f"{_CONNECTOR}/topics/reset", lambda worker, call: worker.reset_topics(call.name), 202),
    Endpoint("PUT", f"{_CONNECTOR}/pause", lambda worker, call: worker.set_state(call.name, "PAUSED"), 202),
    Endpoint("PUT", f"{_CONNECTOR}/resume", lambda worker, call: worker.set_state(call.name, "STARTED"), 202),
    Endpoint("PUT", f"{_CONNECTOR}/stop", lambda worker, call: worker.set_state(call.name, "STOPPED")),
    Endpoint("POST", f"{_CONNECTOR}/restart", _restart),
    Endpoint("GET", f"{_CONNECTOR}/offsets", lambda worker, call: {"offsets": worker.offsets(call.name)}),
    Endpoint("PATCH", f"{_CONNECTOR}/offsets", _alter_offsets),
    Endpoint("DELETE", f"{_CONNECTOR}/offsets", _reset_offsets),
    Endpoint("GET", "/connector-plugins", lambda worker, call: _PLUGINS),
    Endpoint("GET", _PLUGIN, _plugin_config),
    Endpoint("PUT", f"{_PLUGIN}/validate", _validate),
]
