"""A bound on the body of each request, however it is framed: Content-Length is the client's word, and optional."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.databricks.workspace.errors import ApiError, malformed

# DBFS puts and notebook imports are far smaller (1 MB and 10 MB on Databricks).
MAX_BODY = 64 * 1024 * 1024
# Outside of the API there is one small form, which comes before any token was checked.
MAX_FORM = 64 * 1024
_SECONDS = 300.0
# A body that is too large is read on and thrown away up to here, so that the client gets the answer.
_DISCARDED = 4


class BoundedBody:
    """ASGI middleware: reading a body raises ApiError where it is too large, or is not complete within ``seconds``."""

    def __init__(self, app: ASGIApp, seconds: float = _SECONDS) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            limit = MAX_BODY if scope["path"].startswith("/api/") else MAX_FORM
            receive = _Bounded(receive, limit, self._seconds)
        await self._app(scope, receive, send)


class _Bounded:
    """``receive`` of one request."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive, self._limit = receive, limit
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._size, self._complete = 0, False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()  # waits until the client goes away
        message = await self._next()
        if self._size > self._limit:
            while not self._complete and self._size <= _DISCARDED * self._limit:
                await self._next()
            raise malformed(f"The request is larger than {self._limit} bytes.")
        return message

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(408, "REQUEST_TIMEOUT", "The request's body did not arrive in time.") from None
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        return message
