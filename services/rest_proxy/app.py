"""The calls of API v2 as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Router

from foundation import supervised
from services.rest_proxy import binding, consumers, documents, instances, metadata
from services.rest_proxy.cluster import Cluster
from services.rest_proxy.errors import RestError
from services.rest_proxy.instances import Instance, Instances
from services.rest_proxy.media import ANY_FORMAT, AVRO, BINARY, JSON, JSON_SCHEMA, PROTOBUF, RECORDS, V2, content_type
from services.rest_proxy.produce import Sending, records
from services.rest_proxy.routing import Call, Calls, Handler, answer_type, parameter
from services.rest_proxy.settings import Settings

# 500 records of 64 KB. The real one takes bodies of any size and runs out of memory instead.
MAX_BODY = 32 * 1024 * 1024
# A body that is too large is read to its end and thrown away, so that the client hears why; up to here.
_MAX_DISCARDED = 8 * MAX_BODY

# Without a Content-Type the first one counts: the real one takes such a body for binary.
_EMBEDDED = {BINARY: documents.embedded_binary, JSON: documents.embedded_json}
_FORMATS = tuple(media_type for media_type, _ in ANY_FORMAT)
_READS = {BINARY: "binary", V2: "binary", JSON: "json", AVRO: "schema", JSON_SCHEMA: "schema", PROTOBUF: "schema"}

Bind = Callable[[Any], Any]
"""Makes a call's arguments of a request's document."""


class Proxy:
    """The application's state and one method for each call."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cluster = Cluster(settings)
        self.instances = Instances(self.cluster, settings)
        # Requests that wait for a broker or for records must not keep metadata calls from answering.
        self._writers = ThreadPoolExecutor(32, thread_name_prefix="produce")
        self._readers = ThreadPoolExecutor(32, thread_name_prefix="request")
        self._consumers = ThreadPoolExecutor(256, thread_name_prefix="consume")

    async def produce(self, request: Request) -> Response:
        """POST /topics/{topic} and POST /topics/{topic}/partitions/{partition}."""
        embedded = _EMBEDDED[content_type(request.headers.get("content-type"), tuple(_EMBEDDED))]
        body = await read_body(request)
        topic, partition = request.path_params["topic"], request.path_params.get("partition")

        def start() -> Sending:
            document = documents.parse(body) if body.strip(b" \t\r\n") else None
            sending = Sending(self.cluster, topic, records(document, embedded, partition))
            sending.send()
            return sending

        run = functools.partial(self._in, self._writers)
        sending: Sending = await run(start)
        return answer(await sending.finish(run, request.is_disconnected))

    async def root(self, request: Request) -> Response:
        """GET / and POST /: says that somebody is there. The body of the POST must be an object of texts."""
        if request.method == "POST":
            binding.texts(await read_document(request))
        return answer(b"{}")

    async def loops(self, request: Request) -> Response:
        """The loops of this process that fail; not a part of the API."""
        return JSONResponse(supervised.failing())

    async def look(self, request: Request, call: Callable[..., Any], *names: str) -> Response:
        """A metadata call with the parameters of its path."""
        values = [request.path_params[name] for name in names]
        return answer(documents.dump(await self._in(self._readers, lambda: call(self.cluster, *values))))

    async def create_instance(self, request: Request) -> Response:
        """POST /consumers/{group}."""
        wanted = instances.wanted(await read_document(request))
        group = request.path_params["group"]
        name = self.instances.create(group, wanted)
        known_as = self.settings.host_name
        host = f"{known_as}:{self.settings.port}" if known_as else request.url.netloc
        # Not percent-encoded, as in the real one.
        base_uri = f"http://{host}/consumers/{group}/instances/{name}"
        return answer(documents.dump({"instance_id": name, "base_uri": base_uri}))

    async def delete_instance(self, request: Request) -> Response:
        """DELETE /consumers/{group}/instances/{instance}."""
        group, name = request.path_params["group"], request.path_params["instance"]
        await self._in(self._consumers, lambda: self.instances.delete(group, name))
        return Response(status_code=204)

    async def read(self, request: Request) -> Response:
        """GET …/records: the Accept header must name the format that the instance was made with."""
        timeout, max_bytes = (whole_number(request, name) for name in ("timeout", "max_bytes"))
        instance = self._instance(request)
        if _READS[answer_type(request)] != instances.KINDS[instance.format]:
            message = "The requested embedded data format does not match the deserializer for this consumer instance"
            raise RestError(406, 40601, message)
        return answer(await self._in(self._consumers, lambda: consumers.read(instance, timeout, max_bytes)))

    async def tell(
        self, request: Request, bind: Callable[[Any], Any], call: Callable[[Instance, Any], Any]
    ) -> Response:
        """A call that gives an instance a document: 204, or what the call answers."""
        given = bind(await read_document(request))
        instance = self._instance(request)
        result = await self._in(self._consumers, lambda: call(instance, given))
        return Response(status_code=204) if result is None else answer(documents.dump(result))

    async def ask(self, request: Request, call: Callable[[Instance], Any]) -> Response:
        """A call that needs no document."""
        instance = self._instance(request)
        result = await self._in(self._consumers, lambda: call(instance))
        return Response(status_code=204) if result is None else answer(documents.dump(result))

    async def close_idle_instances(self) -> None:
        """Close the instances that have been idle for consumer.instance.timeout.ms."""
        seconds = self.settings.instance_timeout_ms / 1000
        await self._in(self._consumers, lambda: self.instances.close_idle(seconds))

    def close(self) -> None:
        """Leave the groups and send what is buffered."""
        self.instances.close_idle(0)
        self.cluster.close()

    def _instance(self, request: Request) -> Instance:
        return self.instances.get(request.path_params["group"], request.path_params["instance"])

    @staticmethod
    async def _in(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def application(settings: Settings) -> Router:
    """The ASGI application; it reaches for a broker when a request needs one, not before."""
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

    def look(path: str, call: Callable[..., Any], *names: str) -> Call:
        return Call("GET", path, lambda request: proxy.look(request, call, *names))

    def produce_to(path: str) -> Call:
        return Call("POST", path, proxy.produce, tuple(_EMBEDDED))

    def of_consumers(method: str, path: str, handler: Handler) -> Call:
        return Call(method, path, handler, _FORMATS, ANY_FORMAT)

    def tell(method: str, path: str, bind: Bind, call: Callable[[Instance, Any], Any]) -> Call:
        return of_consumers(method, path, lambda request: proxy.tell(request, bind, call))

    def ask(method: str, path: str, call: Callable[[Instance], Any]) -> Call:
        return of_consumers(method, path, lambda request: proxy.ask(request, call))

    topic, partition = "/topics/{topic}", "/topics/{topic}/partitions/{partition}"
    instance = "/consumers/{group}/instances/{instance}"
    return [
        Call("GET", "/", proxy.root),
        Call("POST", "/", proxy.root),
        look("/topics", metadata.topics),
        look(topic, metadata.topic, "topic"),
        produce_to(topic),
        look(f"{topic}/partitions", metadata.partitions, "topic"),
        look(partition, metadata.partition, "topic", "partition"),
        look(f"{partition}/offsets", metadata.offsets, "topic", "partition"),
        produce_to(partition),
        of_consumers("POST", "/consumers/{group}", proxy.create_instance),
        of_consumers("DELETE", instance, proxy.delete_instance),
        tell("POST", f"{instance}/offsets", consumers.offsets_to_commit, consumers.commit),
        tell("GET", f"{instance}/offsets", consumers.places_to_look_up, consumers.committed),
        tell("POST", f"{instance}/subscription", consumers.subscription_wanted, consumers.subscribe),
        ask("GET", f"{instance}/subscription", consumers.subscription),
        ask("DELETE", f"{instance}/subscription", consumers.unsubscribe),
        tell("POST", f"{instance}/assignments", consumers.required_places, consumers.assign),
        ask("GET", f"{instance}/assignments", consumers.assignment),
        tell("POST", f"{instance}/positions", consumers.required_offsets, consumers.seek),
        tell("POST", f"{instance}/positions/beginning", consumers.required_places, consumers.seek_to_beginning),
        tell("POST", f"{instance}/positions/end", consumers.required_places, consumers.seek_to_end),
        Call("GET", f"{instance}/records", proxy.read, _FORMATS, RECORDS),
        look("/brokers", metadata.brokers),
        Call("GET", supervised.PATH, proxy.loops),
    ]


def answer(body: bytes) -> Response:
    """A body that gets the type which was negotiated for its call."""
    return Response(body)


async def read_document(request: Request) -> Any:
    """The body as a JSON document; null if there is none."""
    body = await read_body(request)
    return documents.parse(body) if body.strip() else None


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


def whole_number(request: Request, name: str) -> int:
    """A query parameter of 64 bits; -1 if it is absent or empty. Raises 404 for anything else, as JAX-RS does."""
    given = request.query_params.getlist(name)
    return parameter(given[0], 64) if given and given[0] else -1
