"""A body that never ends holds nobody up."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.databricks.workspace.body import BoundedBody
from services.databricks.workspace.errors import ApiError


async def _read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass


async def _send(message: Message) -> None:
    raise AssertionError("nothing is sent here")


def test_a_body_that_does_not_arrive_is_a_408() -> None:
    arriving: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Message:
        if not arriving:
            await asyncio.Event().wait()
        return arriving.pop()

    with pytest.raises(ApiError) as refused:
        asyncio.run(BoundedBody(_read_all, seconds=0.05)({"type": "http", "path": "/api/x"}, receive, _send))
    assert refused.value.status == 408


def test_after_its_body_a_request_may_wait_as_long_as_it_likes() -> None:
    """A page that streams asks whether its reader has gone, until it has."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    arriving = iter(messages)

    async def receive() -> Message:
        message = next(arriving)
        if message["type"] == "http.disconnect":
            await asyncio.sleep(0.1)
        return message

    asyncio.run(BoundedBody(app, seconds=0.02)({"type": "http", "path": "/runs"}, receive, _send))
