"""The calls of API v2 as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Router

from foundation import supervised
from services.rest_proxy import bodies, documents, metadata
from services.rest_proxy.cluster import Cluster
from services.rest_proxy.errors import RestError
from services.rest_proxy.instances import Instance, Instances
from services.rest_proxy.media import ANY_FORMAT, AVRO, BINARY, JSON, JSON_SCHEMA, PROTOBUF, RECORDS, V2, content_type
from services.rest_proxy.produce import Sending, records
from services.rest_proxy.routing import Call, Calls, answer_type, whole_number
from services.rest_proxy.settings import Settings

# 500 records of 64 KB. The real one takes bodies of any size and runs out of memory instead.
MAX_BODY = 32 * 1024 * 1024
# A body that is too large is read to its end and discarded, so that the client gets the reason; up to this size.
_MAX_DISCARDED = 8 * MAX_BODY

# Without a Content-Type the first one counts: the real one takes such a body for binary.
_EMBEDDED = {BINARY: documents.embedded_binary, JSON: documents.embedded_json}
_FORMATS = tuple(media_type for media_type, _ in ANY_FORMAT)
_READS = {BINARY: "binary", V2: "binary", JSON: "json", AVRO: "schema", JSON_SCHEMA: "schema", PROTOBUF: "schema"}


class Proxy:
    """The application's state, and the calls that do more than ask the cluster or an instance."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cluster = Cluster(settings)
        self.instances = Instances(self.cluster, settings)
        # Requests that wait for a broker or for records must not keep metadata calls from answering.
        self.in_writer = partial(_run, ThreadPoolExecutor(32, thread_name_prefix="produce"))
        self.in_reader = partial(_run, ThreadPoolExecutor(32, thread_name_prefix="request"))
        self.in_consumer = partial(_run, ThreadPoolExecutor(256, thread_name_prefix="consume"))

    async def produce(self, request: Request) -> Response:
        """POST /topics/{topic} and POST /topics/{topic}/partitions/{partition}."""
        embedded = _EMBEDDED[content_type(request.headers.get("content-type"), tuple(_EMBEDDED))]
        body = await _body(request)
        topic, partition = request.path_params["topic"], request.path_params.get("partition")

        def start() -> Sending:
            document = documents.parse(body) if body.strip(b" \t\r\n") else None
            sending = Sending(self.cluster, topic, records(document, embedded, partition))
            sending.send()
            return sending

        sending: Sending = await self.in_writer(start)
        return Response(await sending.finish(self.in_writer, request.is_disconnected))

    async def root(self, request: Request) -> Response:
        """GET / and POST /, which answer an empty object. The body of the POST must be an object of texts."""
        if request.method == "POST":
            bodies.check_texts(await _document(request))
        return Response(b"{}")

    async def create_instance(self, request: Request) -> Response:
        """POST /consumers/{group}."""
        wanted = bodies.new_instance(await _document(request))
        group = request.path_params["group"]
        name = self.instances.create(group, wanted)
        known_as = self.settings.host_name
        host = f"{known_as}:{self.settings.port}" if known_as else request.url.netloc
        # Not percent-encoded, as in the real one.
        base_uri = f"http://{host}/consumers/{group}/instances/{name}"
        return _reply({"instance_id": name, "base_uri": base_uri})

    async def delete_instance(self, request: Request) -> Response:
        """DELETE /consumers/{group}/instances/{instance}."""
        return _reply(await self.in_consumer(self.instances.delete, *request.path_params.values()))

    async def read(self, request: Request) -> Response:
        """GET …/records: the Accept header must name the format that the instance was created with."""
        timeout, max_bytes = (_query_number(request, name) for name in ("timeout", "max_bytes"))
        instance = self.instances.get(*request.path_params.values())
        if _READS[answer_type(request)] != bodies.KINDS[instance.format]:
            message = "The requested embedded data format does not match the deserializer for this consumer instance"
            raise RestError(406, 40601, message)
        return Response(await self.in_consumer(instance.read, timeout, max_bytes))

    async def close_idle_instances(self) -> None:
        """Close the instances that have been idle for consumer.instance.timeout.ms."""
        await self.in_consumer(self.instances.close_idle, self.settings.instance_timeout_ms / 1000)

    def close(self) -> None:
        """Leave the groups and the cluster."""
        self.instances.close_idle(0)
        self.cluster.close()


def application(settings: Settings) -> Router:
    """The ASGI application; it connects to a broker when a request needs one, not before."""
    proxy = Proxy(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        every = min(1.0, settings.instance_timeout_ms / 1000)
        expiry = asyncio.create_task(supervised.run_async("expiry of consumers", proxy.close_idle_instances, every))
        yield
        expiry.cancel()
        await asyncio.to_thread(proxy.close)

    return Router(default=Calls(calls(proxy)), redirect_slashes=False, lifespan=lifespan)


def calls(proxy: Proxy) -> list[Call]:
    """Each call of the API once, in the order of its documentation."""

    def look_up(path: str, question: Callable[..., Any]) -> Call:
        async def handler(request: Request) -> Response:
            return _reply(await proxy.in_reader(question, proxy.cluster, *request.path_params.values()))

        return Call("GET", path, handler)

    def on_instance(
        method: str, path: str, action: Callable[..., Any], bind: Callable[[Any], Any] | None = None
    ) -> Call:
        """A call on an instance; `bind` reads its body."""

        async def handler(request: Request) -> Response:
            arguments = () if bind is None else (bind(await _document(request)),)
            instance = proxy.instances.get(*request.path_params.values())
            return _reply(await proxy.in_consumer(action, instance, *arguments))

        return Call(method, instance + path, handler, _FORMATS, ANY_FORMAT)

    async def loops(request: Request) -> Response:
        return JSONResponse(supervised.failing())

    topic, partition = "/topics/{topic}", "/topics/{topic}/partitions/{partition}"
    instance = "/consumers/{group}/instances/{instance}"
    return [
        Call("GET", "/", proxy.root),
        Call("POST", "/", proxy.root),
        look_up("/topics", metadata.topics),
        look_up(topic, metadata.topic),
        Call("POST", topic, proxy.produce, tuple(_EMBEDDED)),
        look_up(f"{topic}/partitions", metadata.partitions),
        look_up(partition, metadata.partition),
        look_up(f"{partition}/offsets", metadata.offsets),
        Call("POST", partition, proxy.produce, tuple(_EMBEDDED)),
        Call("POST", "/consumers/{group}", proxy.create_instance, _FORMATS, ANY_FORMAT),
        Call("DELETE", instance, proxy.delete_instance, _FORMATS, ANY_FORMAT),
        on_instance("POST", "/offsets", Instance.commit, bodies.offsets_to_commit),
        on_instance("GET", "/offsets", Instance.committed, bodies.partitions_to_look_up),
        on_instance("POST", "/subscription", Instance.subscribe, bodies.subscription),
        on_instance("GET", "/subscription", Instance.subscription),
        on_instance("DELETE", "/subscription", Instance.unsubscribe),
        on_instance("POST", "/assignments", Instance.assign, bodies.partitions),
        on_instance("GET", "/assignments", Instance.assignment),
        on_instance("POST", "/positions", Instance.seek, bodies.positions),
        on_instance("POST", "/positions/beginning", Instance.seek_to_beginning, bodies.partitions),
        on_instance("POST", "/positions/end", Instance.seek_to_end, bodies.partitions),
        Call("GET", f"{instance}/records", proxy.read, _FORMATS, RECORDS),
        look_up("/brokers", metadata.brokers),
        Call("GET", supervised.PATH, loops),
    ]


async def _run(pool: ThreadPoolExecutor, work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def _reply(result: Any) -> Response:
    return Response(status_code=204) if result is None else Response(documents.dump(result))


async def _document(request: Request) -> Any:
    """The body as a JSON document; null if there is none."""
    body = await _body(request)
    return documents.parse(body) if body.strip() else None


async def _body(request: Request) -> bytes:
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


def _query_number(request: Request, name: str) -> int:
    """A query parameter of 64 bits; -1 if it is missing or empty."""
    texts = request.query_params.getlist(name)
    return whole_number(texts[0], 64) if texts and texts[0] else -1
