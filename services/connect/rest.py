"""Kafka Connect's REST API, statuses and bodies as recorded from Apache Kafka Connect 4.3.1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
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

_ALTERED = (
    "The Connect framework-managed offsets for this connector have been {0} successfully. However, if this connector "
    "manages offsets externally, they will need to be manually {0} in the system that the connector uses."
)
MAX_BODY = 4 << 20
"""Bytes of a body: a connector's configuration is a few kB."""
_HEALTHY = "Worker has completed startup and is ready to handle requests."

Handler = Callable[[Worker, Request, Any], Response]


def application(worker: Worker) -> Starlette:
    """The ASGI application for a started worker."""
    methods: dict[str, set[str]] = {}
    for path, method, _ in _ROUTES:
        methods.setdefault(path, {"OPTIONS"}).update({method, "HEAD"} if method == "GET" else {method})

    def route(path: str, method: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            if not _takes_json(request.headers.get("accept", "*/*")):
                raise HTTPException(406)
            body = await _body(request) if method in ("PUT", "POST", "PATCH") else None
            return await run_in_threadpool(handler, worker, request, body)

        return Route(path, endpoint, methods=[method])

    def options_route(path: str, allowed: set[str]) -> Route:
        async def endpoint(request: Request) -> Response:
            listed = sorted(allowed)
            return Response(", ".join(listed), headers={"Allow": ",".join(listed), "Content-Type": "text/plain"})

        return Route(path, endpoint, methods=["OPTIONS"])

    return Starlette(
        routes=[
            *(route(*line) for line in _ROUTES),
            *(options_route(path, allowed) for path, allowed in methods.items()),
        ],
        middleware=[Middleware(_PathAsSent)],
        exception_handlers={RestError: _rest_error, HTTPException: _http_error, Exception: _unexpected},
    )


class _PathAsSent:
    """Routes are found by the path as it was sent, without matrix parameters and with or without a slash at its end.

    What Jetty finds ambiguous or suspicious in it is refused in Jetty's way, above all a `/` in a connector's name.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["raw_path"].decode("latin-1")
            if problem := _ambiguous(path):
                await _as_jetty(scope["method"], problem)(scope, receive, send)
                return
            path = re.sub(r";[^/]*", "", path)
            scope = {**scope, "path": path.removesuffix("/") or "/"}
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


def _takes_json(accept: str) -> bool:
    """Whether one of the media types of an Accept header is JSON; their weights do not count, as in Jersey."""
    types = {one.partition(";")[0].strip().lower() for one in accept.split(",")}
    return not types.isdisjoint({"application/json", "application/*", "*/*", ""})


def _error(status: int, message: str, *, typed: bool = True) -> Response:
    answer = JSONResponse({"error_code": status, "message": message}, status)
    if not typed:
        del answer.headers["content-type"]  # the real worker's answer has none where no resource took the request
    return answer


def _rest_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RestError)
    return _error(error.status, error.message)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"HTTP {error.status_code} {error.detail}", typed=False)


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


def _path(request: Request) -> dict[str, Any]:
    """The parts of the path that name something, decoded."""
    return {part: unquote(value) if isinstance(value, str) else value for part, value in request.path_params.items()}


def _name(request: Request) -> str:
    return str(_path(request)["name"])


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "false").lower() == "true"


def _created(worker: Worker, name: str, request: Request) -> Response:
    location = {"location": f"http://{worker.id}/connectors/{quote(name, safe='')}"}
    return JSONResponse({**worker.info(name), "tasks": []}, 201, headers=location)


def _root(worker: Worker, request: Request, body: Any) -> Response:
    version = {"version": "pinflow stand-in for Kafka Connect", "commit": "stand-in"}
    return JSONResponse({**version, "kafka_cluster_id": worker.cluster_id})


def _health(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse({"status": "healthy", "message": _HEALTHY})


def _loops(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse(supervised.failing())


def _list(worker: Worker, request: Request, body: Any) -> Response:
    expand = request.query_params.getlist("expand")
    parts = {"status": worker.status, "info": worker.info}
    wanted = {kind: get for kind, get in parts.items() if kind in expand}
    if not expand:
        return JSONResponse(worker.names())
    found = {}
    for name in worker.names():
        with suppress(RestError):  # it has no status yet, or was deleted meanwhile
            found[name] = {kind: get(name) for kind, get in wanted.items()}
    return JSONResponse(found)


def _create(worker: Worker, request: Request, body: Any) -> Response:
    fields = _fields(body, "config", "name", "initial_state")
    properties = _properties(fields.get("config"))
    name = _text("name", fields.get("name") or "").strip()
    state = {"RUNNING": "STARTED", "PAUSED": "PAUSED", "STOPPED": "STOPPED", None: None}
    initial = fields.get("initial_state")
    if initial is not None and str(initial).upper() not in state:
        raise RestError(500, f"initial_state {initial}: expected RUNNING, PAUSED or STOPPED")
    worker.put(name, properties, state=state[initial and str(initial).upper()], create=True)
    return _created(worker, name, request)


def _put_config(worker: Worker, request: Request, body: Any) -> Response:
    if worker.put(_name(request), _properties(body)):
        return _created(worker, _name(request), request)
    return JSONResponse(worker.info(_name(request)))


def _patch_config(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse(worker.patch(_name(request), _properties(body)))


def _delete(worker: Worker, request: Request, body: Any) -> Response:
    worker.delete(_name(request))
    return Response(status_code=204)


def _topics(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse({_name(request): {"topics": worker.topics(_name(request))}})


def _state(state: str, status: int) -> Handler:
    def handler(worker: Worker, request: Request, body: Any) -> Response:
        worker.set_state(_name(request), state)
        return Response(status_code=status)

    return handler


def _restart(worker: Worker, request: Request, body: Any) -> Response:
    tasks, only_failed = _flag(request, "includeTasks"), _flag(request, "onlyFailed")
    status = worker.restart(_name(request), tasks=tasks, only_failed=only_failed)
    return Response(status_code=204) if status is None else JSONResponse(status, 202)


def _restart_task(worker: Worker, request: Request, body: Any) -> Response:
    worker.restart_task(_name(request), _task(request))
    return Response(status_code=204)


def _task_status(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse(worker.task_status(_name(request), _task(request)))


def _task(request: Request) -> int:
    """The task's number; what is none is not found."""
    text = request.path_params["task"]
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise RestError(404, "HTTP 404 Not Found")
    return int(text)


def _alter_offsets(worker: Worker, request: Request, body: Any) -> Response:
    entries = _fields(body, "offsets").get("offsets")
    if not entries:
        raise RestError(400, "Partitions / offsets need to be provided for an alter offsets request")
    name = _name(request)
    worker.info(name)  # an absent connector is a 404 before anything is said of the offsets
    worker.alter_offsets(name, [_offset(entry) for entry in entries])
    return JSONResponse({"message": _ALTERED.format("altered")})


def _offset(entry: Any) -> tuple[str, int, int | None]:
    """Topic, partition and offset of one entry; the offset is None where it is to be deleted."""
    fields = _fields(entry, "partition", "offset")
    partition, offset = fields.get("partition"), fields.get("offset")
    if partition is None:
        raise RestError(400, "The partition for a sink connector offset cannot be null or missing")
    if not isinstance(partition, dict) or not isinstance(offset, dict | None):
        raise RestError(500, "A partition and an offset must be JSON objects")
    if partition.get("kafka_topic") is None or partition.get("kafka_partition") is None:
        keys = "'kafka_topic' and 'kafka_partition'"
        raise RestError(400, f"The partition for a sink connector offset must contain the keys {keys}")
    number = _integer(partition["kafka_partition"], "partition")
    if offset is None:
        return str(partition["kafka_topic"]), number, None
    if offset.get("kafka_offset") is None:
        either = "should either be null or contain the key 'kafka_offset'"
        raise RestError(400, f"The offset for a sink connector {either}")
    return str(partition["kafka_topic"]), number, _integer(offset["kafka_offset"], "offset")


def _integer(value: Any, what: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", str(value)):
        raise RestError(
            400,
            f"Failed to parse the following Kafka {what} value in the provided offsets: '{value}'. "
            f"{what.capitalize()} values for sink connectors need to be integers.",
        )
    return int(value)


def _reset_offsets(worker: Worker, request: Request, body: Any) -> Response:
    worker.reset_offsets(_name(request))
    return JSONResponse({"message": _ALTERED.format("reset")})


def _plugins(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse([{"class": options.CONNECTOR_CLASS, "type": "sink", "version": options.VERSION}])


def _known_plugin(request: Request) -> None:
    if _path(request)["plugin"] not in options.OPTIONS["connector.class"].allowed:
        raise RestError(404, f"Unknown plugin {_path(request)['plugin']}.")


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


def _plugin_config(worker: Worker, request: Request, body: Any) -> Response:
    _known_plugin(request)
    return JSONResponse([_definition(option) for option in options.STORAGE])


def _validate(worker: Worker, request: Request, body: Any) -> Response:
    config = _properties(body)
    plugin, included = _path(request)["plugin"], config.get("connector.class")
    if included is not None and not included.removesuffix("Connector").endswith(plugin.removesuffix("Connector")):
        raise RestError(400, f"Included connector type {included} does not match request type {plugin}")
    values, found = worker.validate(config)
    shown = [option for option in options.OPTIONS.values() if option.name in config or not option.given_only]
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
    return JSONResponse({"name": options.CONNECTOR_CLASS, "error_count": count, "groups": groups, "configs": configs})


def _reset_topics(worker: Worker, request: Request, body: Any) -> Response:
    worker.reset_topics(_name(request))
    return Response(status_code=202)


def _reader(method: str) -> Handler:
    def handler(worker: Worker, request: Request, body: Any) -> Response:
        return JSONResponse(getattr(worker, method)(**_path(request)))

    return handler


_CONNECTOR = "/connectors/{name}"
_PLUGIN = "/connector-plugins/{plugin}/config"

_ROUTES: list[tuple[str, str, Handler]] = [
    ("/", "GET", _root),
    ("/health", "GET", _health),
    (supervised.PATH, "GET", _loops),
    ("/connectors", "GET", _list),
    ("/connectors", "POST", _create),
    (_CONNECTOR, "GET", _reader("info")),
    (_CONNECTOR, "DELETE", _delete),
    (f"{_CONNECTOR}/config", "GET", lambda worker, request, _: JSONResponse(worker.info(_name(request))["config"])),
    (f"{_CONNECTOR}/config", "PUT", _put_config),
    (f"{_CONNECTOR}/config", "PATCH", _patch_config),
    (f"{_CONNECTOR}/status", "GET", _reader("status")),
    (f"{_CONNECTOR}/tasks", "GET", _reader("tasks")),
    (f"{_CONNECTOR}/tasks/{{task}}/status", "GET", _task_status),
    (f"{_CONNECTOR}/tasks/{{task}}/restart", "POST", _restart_task),
    (f"{_CONNECTOR}/topics", "GET", _topics),
    (f"{_CONNECTOR}/topics/reset", "PUT", _reset_topics),
    (f"{_CONNECTOR}/pause", "PUT", _state("PAUSED", 202)),
    (f"{_CONNECTOR}/resume", "PUT", _state("STARTED", 202)),
    (f"{_CONNECTOR}/stop", "PUT", _state("STOPPED", 204)),
    (f"{_CONNECTOR}/restart", "POST", _restart),
    (f"{_CONNECTOR}/offsets", "GET", lambda worker, r, _: JSONResponse({"offsets": worker.offsets(_name(r))})),
    (f"{_CONNECTOR}/offsets", "PATCH", _alter_offsets),
    (f"{_CONNECTOR}/offsets", "DELETE", _reset_offsets),
    ("/connector-plugins", "GET", _plugins),
    (_PLUGIN, "GET", _plugin_config),
    (f"{_PLUGIN}/validate", "PUT", _validate),
]
