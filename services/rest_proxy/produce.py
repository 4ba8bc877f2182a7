"""Producing: the records of one request, in their order, to one topic, and the result of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from kafka.errors import InvalidTopicError, KafkaTimeoutError

from services.rest_proxy import documents
from services.rest_proxy.batches import Record, Writer, Written
from services.rest_proxy.bodies import anything, fields, int32, list_of, required, text
from services.rest_proxy.cluster import Cluster, is_legal
from services.rest_proxy.compat import Outcome
from services.rest_proxy.errors import http_error, kafka_code, unprocessable

_RECORD = {"key": anything, "value": anything, "partition": int32}
_REQUEST = {
    "records": list_of(lambda record: fields(record, _RECORD)),
    "key_schema": text,
    "key_schema_id": int32,
    "value_schema": text,
    "value_schema_id": int32,
}

# How often a request that waits for its topic looks for it, and whether its client is still connected.
_LOOK_SECONDS = 0.2

Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking call in another thread."""


def records(document: Any, embedded: Callable[[Any], bytes | None], partition: int | None = None) -> list[Record]:
    """The records of a request's document; `partition` is the one in its path, for records without one of their own.

    Raises 400 for what Jackson does not read as a produce request, 422 for one without records.
    """
    found = fields(required(document), _REQUEST)[0]
    if not found:
        raise unprocessable("records: must not be empty")
    return [Record(embedded(key), embedded(value), partition if own is None else own) for key, value, own in found]


class Sending:
    """The records of one request in flight: `send` does what can be done without waiting, `finish` waits.

    As with Kafka's Java producer, a record whose topic or partition does not exist blocks those behind it for
    max.block.ms, so a request takes as many times that as it has such records.
    """

    def __init__(self, cluster: Cluster, topic: str, batch: list[Record]) -> None:
        self._cluster = cluster
        self._topic = topic
        self._records = batch
        self._written: list[tuple[Writer, Written]] = []
        self._outcomes: list[Callable[[], list[Outcome]]] = []
        self._position = 0
        self._since = time.monotonic()
        self._count = 0

    def send(self) -> None:
        """Hand over the records up to the first whose partition does not exist; raises 500 at a negative one.

        An illegal name fails at once: no topic will ever have it.
        """
        if not is_legal(self._topic):
            self._fail(InvalidTopicError(f"Invalid topics: [{self._topic}]"), len(self._records))
            return
        partitions = self._cluster.partitions(self._topic)
        self._count = len(partitions)
        end = self._position
        while end < len(self._records) and _exists(self._records[end].partition, partitions):
            end += 1
        if end > self._position:
            self._write(end, partitions)
        wanted = self._records[end].partition if end < len(self._records) else None
        if wanted is not None and wanted < 0:
            raise http_error(500)

    async def finish(self, run: Run, is_gone: Callable[[], Awaitable[bool]]) -> bytes:
        """Wait for missing partitions, then for every record; returns the answer's body, with an entry for each.

        `run` does blocking work in another thread. Once the client `is_gone`, this waits for no missing partition.
        """
        while (reached := self._position) < len(self._records):
            deadline = self._since + self._cluster.max_block
            while self._position == reached and (left := deadline - time.monotonic()) > 0:
                await asyncio.sleep(min(_LOOK_SECONDS, left))
                await run(self._send_without_waiting if await is_gone() else self.send)
            if self._position == reached:
                self._fail(self._missing(), 1)
                await run(self.send)
        await self._settle()
        return _body([outcome for outcomes in self._outcomes for outcome in outcomes()])

    def _send_without_waiting(self) -> None:
        """Hand over the rest, and fail the records whose partition does not exist."""
        self.send()
        while self._position < len(self._records):
            self._fail(self._missing(), 1)
            self.send()

    def _write(self, end: int, partitions: Collection[int]) -> None:
        writer = self._cluster.writer()
        written = writer.write(self._topic, self._records[self._position : end], partitions)
        self._written.append((writer, written))
        self._advance(end, written.outcomes)

    def _fail(self, error: Exception, count: int) -> None:
        self._advance(self._position + count, lambda: [error] * count)

    def _advance(self, position: int, outcomes: Callable[[], list[Outcome]]) -> None:
        self._outcomes.append(outcomes)
        self._position, self._since = position, time.monotonic()

    def _missing(self) -> KafkaTimeoutError:
        where = f"Topic {self._topic}"
        if self._count:
            partition = self._records[self._position].partition
            where = f"Partition {partition} of topic {self._topic} with partition count {self._count} is"
        milliseconds = round(self._cluster.max_block * 1000)
        return KafkaTimeoutError(f"{where} not present in metadata after {milliseconds} ms.")

    async def _settle(self) -> None:
        """Wait until each record is written or has failed, which takes the producer delivery.timeout.ms at most."""
        for writer, written in self._written:
            waits = [asyncio.wrap_future(batch.settled) for batch in written.batches]
            if waits and (await asyncio.wait(waits, timeout=self._cluster.delivery_timeout + 5))[1]:
                self._cluster.replace_writer(writer)
                await asyncio.wait(waits, timeout=5)


def _exists(partition: int | None, partitions: Collection[int]) -> bool:
    return bool(partitions) if partition is None else partition in partitions


def _message(error: Exception) -> str:
    """What an error says, without its class."""
    return error.args[0] if error.args and isinstance(error.args[0], str) else str(error)


def _body(outcomes: list[Outcome]) -> bytes:
    entries = [
        b'{"partition":null,"offset":null,"error_code":%d,"error":%b}'
        % (kafka_code(outcome), documents.dump(_message(outcome)))
        if isinstance(outcome, Exception)
        else b'{"partition":%d,"offset":%d,"error_code":null,"error":null}' % outcome
        for outcome in outcomes
    ]
    return b'{"offsets":[%b],"key_schema_id":null,"value_schema_id":null}' % b",".join(entries)
