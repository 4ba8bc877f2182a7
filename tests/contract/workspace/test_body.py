"""The bound on a request's body: the same whether its length is declared or it comes in chunks."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import psutil
import pytest

from tests.contract.workspace.conftest import HOME, TOKEN, Service

MIB = 1 << 20
LIMIT = 64 * MIB
IMPORT = "/api/2.0/workspace/import"


def posted(
    service: Service, path: str, kind: str, pieces: Iterator[bytes], length: int | None = None
) -> tuple[int, str]:
    """Status and text of the answer to a body in chunks, or with a declared length."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    if length is not None:
        headers["Content-Length"] = str(length)
    address = urlsplit(service.url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
        connection.request("POST", path, pieces, headers, encode_chunked=length is None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def document(size: int) -> Iterator[bytes]:
    """A JSON import whose content is about ``size`` bytes long."""
    yield f'{{"path": "{HOME}/large", "format": "AUTO", "overwrite": true, "content": "'.encode()
    for _ in range(size // MIB):
        yield b"A" * MIB
    yield b'"}'


def form(size: int) -> Iterator[bytes]:
    """The same as the form that `workspace.upload` sends."""
    for name, value in (("path", f"{HOME}/large"), ("format", "AUTO"), ("overwrite", "true")):
        yield f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    yield b'--x\r\nContent-Disposition: form-data; name="content"; filename="large"\r\n\r\n'
    for _ in range(size // MIB):
        yield b"A" * MIB
    yield b"\r\n--x--\r\n"


BODIES = {"application/json": document, "multipart/form-data; boundary=x": form}


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "declared length"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_over_the_limit_is_refused_and_not_kept_in_memory(service: Service, kind: str, chunked: bool) -> None:
    process = psutil.Process(service.pid)
    before = process.memory_info().rss
    most = before

    def pieces() -> Iterator[bytes]:
        nonlocal most
        for piece in BODIES[kind](3 * LIMIT):
            most = max(most, process.memory_info().rss)
            yield piece

    length = None if chunked else sum(len(piece) for piece in BODIES[kind](3 * LIMIT))
    status, text = posted(service, IMPORT, kind, pieces(), length)
    assert (status, json.loads(text)["error_code"]) == (400, "MALFORMED_REQUEST")
    assert f"larger than {LIMIT} bytes" in text
    assert most - before < 2 * LIMIT
    assert service.call("GET", f"/api/2.0/workspace/get-status?path={HOME}/large").status_code == 404


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_below_the_limit_may_come_in_chunks(service: Service, kind: str) -> None:
    status, text = posted(service, IMPORT, kind, BODIES[kind](4 * MIB))
    assert status == 200, text
    service.call("POST", "/api/2.0/workspace/delete", json={"path": f"{HOME}/large"})


def test_a_form_that_comes_without_a_token_is_far_smaller(service: Service) -> None:
    pieces = (b"token=" + b"x" * 1000 for _ in range(100))
    status, text = posted(service, "/runs", "application/x-www-form-urlencoded", pieces)
    assert status == 400, text
