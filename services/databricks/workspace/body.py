"""Bounds the body of each request, however it is sent: a Content-Length is optional and may be wrong."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.databricks.workspace.errors import ApiError, malformed

# DBFS puts and notebook imports are far smaller (1 MB and 10 MB on Databricks).
MAX_BODY = 64 * 1024 * 1024
# Outside the API there is one small form, which is read before any token is checked.
MAX_FORM = 64 * 1024
_SECONDS = 300.0
# Up to this many times the limit, an oversized body is read and discarded, so that the client gets the answer.
_DISCARDED = 4


class BoundedBody:
    """ASGI middleware: reading a body raises ApiError if it is too large, or not complete within ``seconds``."""

    def __init__(self, app: ASGIApp, seconds: float = _SECONDS) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = MAX_BODY if scope["path"].startswith("/api/") else MAX_FORM
        deadline = asyncio.get_running_loop().time() + self._seconds
        size, complete = 0, False

        async def next_message() -> Message:
            nonlocal size, complete
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise ApiError(408, "REQUEST_TIMEOUT", "The request's body did not arrive in time.") from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            return message

        async def bounded() -> Message:
            if complete:
                return await receive()  # waits until the client disconnects
            message = await next_message()
            if size > limit:
                while not complete and size <= _DISCARDED * limit:
                    await next_message()
                raise malformed(f"The request is larger than {limit} bytes.")
            return message

        await self._app(scope, bounded, send)
