"""What the Connect REST API does with a request before a worker sees it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from starlette.types import Message

from services.connect.rest import MAX_BODY, application


def test_a_body_over_the_limit_is_a_413_and_is_not_read_to_its_end() -> None:
    """It comes in chunks, so no Content-Length tells."""
    path, piece, read = "/connectors/any/config", b" " * (1 << 20), 0
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "PUT", "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "headers": [(b"content-type", b"application/json")]}
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal read
        read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": read < 5 * MAX_BODY}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(application(cast(Any, None))(scope, receive, send))
    assert sent[0]["status"] == 413
    assert json.loads(sent[1]["body"]) == {
        "error_code": 413,
        "message": f"HTTP 413 Request Entity Too Large: the limit is {MAX_BODY} bytes",
    }
    assert read <= MAX_BODY + len(piece)
