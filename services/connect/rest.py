"""Kafka Connect's REST API, statuses and bodies as recorded from Apache Kafka Connect 4.3.1."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services import supervised
from services.connect import options
from services.connect.worker import RestError, Worker

_ALTERED = (
    "The Connect framework-managed offsets for this connector have been {} successfully. However, if this connector "
    "manages offsets externally, they will need to be manually reset in the system that the connector uses."
)
MAX_BODY = 4 << 20
"""Bytes of a body: a connector's configuration is a few kB."""
_HEALTHY = "Worker has completed startup and is ready to handle requests."

Handler = Callable[[Worker, Request, Any], Response]


def application(worker: Worker) -> Starlette:
    """The ASGI application for a started worker."""

    def route(path: str, method: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            body = await _body(request) if method in ("PUT", "POST", "PATCH") else None
            return await run_in_threadpool(handler, worker, request, body)

        return Route(path, endpoint, methods=[method])

    return Starlette(
        routes=[route(*line) for line in _ROUTES],
        middleware=[Middleware(_PathAsSent)],
        exception_handlers={RestError: _rest_error, HTTPException: _http_error, Exception: _unexpected},
    )


class _PathAsSent:
    """Routes are found by the path as it was sent: decoded, the slash in a connector's name would part it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii")}
        await self._app(scope, receive, send)


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error_code": status, "message": message}, status)


def _rest_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RestError)
    return _error(error.status, error.message)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"HTTP {error.status_code} {error.detail}")


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
        raise RestError(415, "HTTP 415 Unsupported Media Type")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RestError(500, f"The request's body is not JSON: {error}") from None


def _properties(value: Any) -> dict[str, str | None]:
    """A configuration object with its values as text, as Jackson turns them into strings."""
    if not isinstance(value, dict):
        raise RestError(500, "A configuration must be a JSON object of texts")
    texts: dict[str, str | None] = {}
    for name, item in value.items():
        if isinstance(item, dict | list):
            raise RestError(500, f"Cannot deserialize the value of {name}: expected a text")
        texts[name] = item if item is None or isinstance(item, str) else json.dumps(item)
    return texts


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
    if not wanted:
        return JSONResponse(worker.names())
    return JSONResponse({name: {kind: get(name) for kind, get in wanted.items()} for name in worker.names()})


def _create(worker: Worker, request: Request, body: Any) -> Response:
    if not isinstance(body, dict) or not isinstance(body.get("config"), dict):
        raise RestError(500, 'A connector is {"name": …, "config": {…}}')
    properties = _properties(body["config"])
    name = str(body.get("name") or "").strip() or properties.get("name") or ""
    state = {"RUNNING": "STARTED", "PAUSED": "PAUSED", "STOPPED": "STOPPED", None: None}
    initial = body.get("initial_state")
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
    return JSONResponse(status, 202) if tasks or only_failed else Response(status_code=204)


def _restart_task(worker: Worker, request: Request, body: Any) -> Response:
    worker.restart_task(_name(request), request.path_params["task"])
    return Response(status_code=204)


def _alter_offsets(worker: Worker, request: Request, body: Any) -> Response:
    try:
        offsets = [
            (
                str(entry["partition"]["kafka_topic"]),
                int(entry["partition"]["kafka_partition"]),
                None if entry["offset"] is None else int(entry["offset"]["kafka_offset"]),
            )
            for entry in body["offsets"]
        ]
    except (TypeError, KeyError, ValueError):
        raise RestError(
            400,
            'Expected {"offsets": [{"partition": {"kafka_topic": …, "kafka_partition": …}, '
            '"offset": {"kafka_offset": …}}]}',
        ) from None
    worker.alter_offsets(_name(request), offsets)
    return JSONResponse({"message": _ALTERED.format("altered")})


def _reset_offsets(worker: Worker, request: Request, body: Any) -> Response:
    worker.reset_offsets(_name(request))
    return JSONResponse({"message": _ALTERED.format("reset")})


def _plugins(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse([{"class": options.CONNECTOR_CLASS, "type": "sink", "version": options.VERSION}])


def _definition(option: options.Option) -> dict[str, Any]:
    about = f"{option.support.value} by this stand-in" + (f": {option.why}" if option.why else "")
    return {
        "name": option.name,
        "type": option.kind,
        "required": option.required,
        "default_value": option.default,
        "importance": "HIGH" if option.required else "MEDIUM",
        "documentation": about,
    }


def _plugin_config(worker: Worker, request: Request, body: Any) -> Response:
    return JSONResponse([_definition(option) for option in options.OPTIONS.values()])


def _validate(worker: Worker, request: Request, body: Any) -> Response:
    config = _properties(body)
    found = worker.validate(config)
    shown = [*options.OPTIONS, *(name for name in found if name not in options.OPTIONS)]
    configs = [
        {
            "definition": _definition(options.OPTIONS.get(name) or options.Option(name)),
            "value": {"name": name, "value": config.get(name), "errors": found.get(name, []), "visible": True},
        }
        for name in shown
    ]
    return JSONResponse({"name": options.CONNECTOR_CLASS, "error_count": len(found), "groups": [], "configs": configs})


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
    (f"{_CONNECTOR}/tasks/{{task:int}}/status", "GET", _reader("task_status")),
    (f"{_CONNECTOR}/tasks/{{task:int}}/restart", "POST", _restart_task),
    (f"{_CONNECTOR}/topics", "GET", _topics),
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
