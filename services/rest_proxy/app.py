"""The calls of API v2 as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from kafka.errors import KafkaError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services import supervised
from services.rest_proxy import consumers, documents, metadata
from services.rest_proxy.cluster import Cluster
from services.rest_proxy.consumers import Instance, Instances
from services.rest_proxy.errors import RestError, http_error, kafka_failure, unprocessable
from services.rest_proxy.media import BINARY, JSON, V2, content_type, negotiate
from services.rest_proxy.produce import produce, records
from services.rest_proxy.settings import Settings

log = logging.getLogger(__name__)

# 500 records of 64 KB. The real one takes bodies of any size and runs out of memory instead.
MAX_BODY = 32 * 1024 * 1024
# A body that is too large is read to its end and thrown away, so that the client hears why; up to here.
_MAX_DISCARDED = 8 * MAX_BODY

_EMBEDDED = {JSON: documents.embedded_json, BINARY: documents.embedded_binary}
_CONSUMER_TYPES = (V2, JSON, BINARY)
_FAILURES = (RestError, KafkaError, HTTPException, ClientDisconnect, Exception)

Handler = Callable[[Request], Awaitable[Response]]


class Proxy:
    """The application's state and one method for each call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cluster = Cluster(settings)
        self.instances = Instances(self.cluster, settings)
        # Two pools: requests that wait for a broker that is away must not keep metadata calls from answering.
        self._writers = ThreadPoolExecutor(32, thread_name_prefix="produce")
        self._readers = ThreadPoolExecutor(32, thread_name_prefix="request")

    async def produce(self, request: Request) -> Response:
        """POST /topics/{topic} and POST /topics/{topic}/partitions/{partition}."""
        accept(request, V2)
        embedded = _EMBEDDED[content_type(request.headers.get("content-type"), tuple(_EMBEDDED))]
        body = await read_body(request)
        topic, partition = request.path_params["topic"], request.path_params.get("partition")

        def work() -> bytes:
            document = documents.parse(body) if body.strip() else None
            return produce(self.cluster, topic, records(document, embedded), partition)

        return answer(await self._in(self._writers, work))

    async def root(self, request: Request) -> Response:
        """GET /: says that somebody is there."""
        accept(request, V2)
        return answer(b"{}")

    async def loops(self, request: Request) -> Response:
        """The loops of this process that fail; not a part of the API."""
        return JSONResponse(supervised.failing())

    async def look(self, request: Request, call: Callable[..., Any], *names: str) -> Response:
        """A metadata call with the parameters of its path."""
        accept(request, V2)
        values = [request.path_params[name] for name in names]
        return answer(documents.dump(await self._in(self._readers, lambda: call(self.cluster, *values))))

    async def create_instance(self, request: Request) -> Response:
        """POST /consumers/{group}."""
        accept(request, *_CONSUMER_TYPES)
        document = await optional_document(request)
        group = request.path_params["group"]
        name = await self._in(self._readers, lambda: self.instances.create(group, document))
        known_as = self.settings.host_name
        host = f"{known_as}:{self.settings.port}" if known_as else request.url.netloc
        base_uri = f"http://{host}/consumers/{quote(group, safe='')}/instances/{quote(name, safe='')}"
        return answer(documents.dump({"instance_id": name, "base_uri": base_uri}))

    async def delete_instance(self, request: Request) -> Response:
        """DELETE /consumers/{group}/instances/{instance}."""
        accept(request, *_CONSUMER_TYPES)
        group, name = request.path_params["group"], request.path_params["instance"]
        await self._in(self._readers, lambda: self.instances.delete(group, name))
        return Response(status_code=204)

    async def read(self, request: Request) -> Response:
        """GET …/records: the Accept header must name the format that the instance was made with."""
        wanted = negotiate(request.headers.get("accept"), (BINARY, V2, JSON))
        instance = self._instance(request)
        if instance.format != ("json" if wanted == JSON else "binary"):
            message = "The requested embedded data format does not match the deserializer for this consumer instance"
            raise RestError(406, 40601, message)
        timeout, max_bytes = (whole_number(request, name) for name in ("timeout", "max_bytes"))
        return answer(await self._in(self._readers, lambda: consumers.read(instance, timeout, max_bytes)), wanted)

    async def tell(self, request: Request, call: Callable[[Instance, Any], Any]) -> Response:
        """A call that gives an instance a document: 204, or what the call answers."""
        accept(request, *_CONSUMER_TYPES)
        instance = self._instance(request)
        document = await optional_document(request)
        result = await self._in(self._readers, lambda: call(instance, document))
        return Response(status_code=204) if result is None else answer(documents.dump(result))

    async def close_idle_instances(self) -> None:
        """Close the instances that have been idle for consumer.instance.timeout.ms."""
        seconds = self.settings.instance_timeout_ms / 1000
        await self._in(self._readers, lambda: self.instances.close_idle(seconds))

    def close(self) -> None:
        """Leave the groups and send what is buffered."""
        self.instances.close_idle(0)
        self.cluster.close()

    def _instance(self, request: Request) -> Instance:
        return self.instances.get(request.path_params["group"], request.path_params["instance"])

    @staticmethod
    async def _in(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def application(settings: Settings) -> Starlette:
    """The ASGI application; it reaches for a broker when a request needs one, not before."""
    proxy = Proxy(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        every = min(1.0, settings.instance_timeout_ms / 1000)
        expiry = asyncio.create_task(supervised.run_async("expiry of consumers", proxy.close_idle_instances, every))
        yield
        expiry.cancel()
        await asyncio.to_thread(proxy.close)

    handlers: dict[Any, Any] = dict.fromkeys(_FAILURES, failure)
    return Starlette(routes=routes(proxy), exception_handlers=handlers, lifespan=lifespan)


def routes(proxy: Proxy) -> list[Route]:
    """Each call of the API once, in the order of its documentation."""

    # Starlette awaits only what is declared async, so partial() and lambda will not do.
    def look(call: Callable[..., Any], *names: str) -> Handler:
        async def handler(request: Request) -> Response:
            return await proxy.look(request, call, *names)

        return handler

    def tell(call: Callable[[Instance, Any], Any]) -> Handler:
        async def handler(request: Request) -> Response:
            return await proxy.tell(request, call)

        return handler

    def ask(call: Callable[[Instance], Any]) -> Handler:
        return tell(lambda instance, _: call(instance))

    topic, partition = "/topics/{topic}", "/topics/{topic}/partitions/{partition:int}"
    instance = "/consumers/{group}/instances/{instance}"
    calls: list[tuple[str, str, Handler]] = [
        ("GET", "/", proxy.root),
        ("GET", "/topics", look(metadata.topics)),
        ("GET", topic, look(metadata.topic, "topic")),
        ("POST", topic, proxy.produce),
        ("GET", f"{topic}/partitions", look(metadata.partitions, "topic")),
        ("GET", partition, look(metadata.partition, "topic", "partition")),
        ("GET", f"{partition}/offsets", look(metadata.offsets, "topic", "partition")),
        ("POST", partition, proxy.produce),
        ("POST", "/consumers/{group}", proxy.create_instance),
        ("DELETE", instance, proxy.delete_instance),
        ("POST", f"{instance}/offsets", tell(consumers.commit)),
        ("GET", f"{instance}/offsets", tell(consumers.committed)),
        ("POST", f"{instance}/subscription", tell(consumers.subscribe)),
        ("GET", f"{instance}/subscription", ask(consumers.subscription)),
        ("DELETE", f"{instance}/subscription", ask(consumers.unsubscribe)),
        ("POST", f"{instance}/assignments", tell(consumers.assign)),
        ("GET", f"{instance}/assignments", ask(consumers.assignment)),
        ("POST", f"{instance}/positions", tell(consumers.seek)),
        ("POST", f"{instance}/positions/beginning", tell(consumers.seek_to_beginning)),
        ("POST", f"{instance}/positions/end", tell(consumers.seek_to_end)),
        ("GET", f"{instance}/records", proxy.read),
        ("GET", "/brokers", look(metadata.brokers)),
        ("GET", supervised.PATH, proxy.loops),
    ]
    return [Route(path, handler, methods=[method]) for method, path, handler in calls]


def accept(request: Request, *offered: str) -> str:
    """The type of the answer; raises 406 if the request takes none of those offered."""
    return negotiate(request.headers.get("accept"), offered)


def answer(body: bytes, media_type: str = V2, status: int = 200) -> Response:
    """A body under its media type, without the charset that Starlette would add."""
    return Response(body, status, {"content-type": media_type})


async def failure(_: Request, error: Exception) -> Response:
    """Any failure as the API writes it; one that nobody thought of is 500, and its traceback is in the log."""
    if isinstance(error, HTTPException):
        error = http_error(error.status_code)
    elif isinstance(error, KafkaError):
        error = kafka_failure(error)
    elif not isinstance(error, RestError):
        error = http_error(500)
    return answer(documents.dump({"error_code": error.code, "message": error.message}), status=error.status)


async def optional_document(request: Request) -> Any:
    """The body of a call that may come without one; null if it does. Raises 415 for a body of another type."""
    body = await read_body(request)
    if not body.strip():
        return None
    content_type(request.headers.get("content-type"), _CONSUMER_TYPES)
    return documents.parse(body)


async def read_body(request: Request) -> bytes:
    """The body; raises 413 if it is larger than MAX_BODY, of which no more than that is ever held in memory."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        else:
            chunks.clear()
        if size > _MAX_DISCARDED:
            break
    if size > MAX_BODY:
        raise RestError(413, 413, f"HTTP 413 Request Entity Too Large: the limit is {MAX_BODY} bytes")
    return b"".join(chunks)


def whole_number(request: Request, name: str) -> int | None:
    """A query parameter; null if it is absent or not above 0, which the API takes for the default."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return max(0, int(text)) or None
    except ValueError:
        raise unprocessable(f"{name}: must be a whole number") from None
