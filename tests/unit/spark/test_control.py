"""Who may ask the cluster's control endpoint."""

from __future__ import annotations

import socket
import time
from http.server import HTTPServer
from typing import Any, cast
from unittest.mock import Mock

import pytest
import requests

from foundation import supervised
from services.spark import control


class Calls:
    """One call, in place of the driver's."""

    def call(self, path: str) -> Any:
        return lambda arguments: {"path": path}


def serve() -> int:
    """The endpoint on a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        free = int(listener.getsockname()[1])
    control.serve(cast(Any, Calls()), "127.0.0.1", free, "t0ken")
    return free


@pytest.fixture(scope="module")
def port() -> int:
    return serve()


def ask(port: int, host: str, token: str = "t0ken", call: str = "fs/ls") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", "Host": host}
    return requests.post(f"http://127.0.0.1:{port}/{call}", json={}, headers=headers, timeout=10)


@pytest.mark.parametrize("host", ["127.0.0.1:15003", "localhost", "spark:15003", "172.18.0.4", "[::1]:15003"])
def test_addresses_and_names_without_a_dot_are_answered(port: int, host: str) -> None:
    assert ask(port, host).json() == {"path": "/fs/ls"}


@pytest.mark.parametrize("call", ["fs/ls", "fs/upload?path=file:/tmp/x"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:15003", "127.0.0.1.evil.example", "localhost.", "[", ""]
)
def test_a_name_that_a_web_site_can_have_is_refused_whatever_the_token(port: int, host: str, call: str) -> None:
    refused = ask(port, host, call=call)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert "use an IP address or a name without a dot" in refused.json()["message"]


def test_every_driver_has_an_id_of_its_own() -> None:
    nothing = cast(Any, None)
    first, second = (control.Control(nothing, nothing, nothing) for _ in range(2))
    ids = [each.call("/driver/id")(control.Arguments({}))["id"] for each in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]


def test_the_token_is_asked_for(port: int) -> None:
    assert ask(port, "localhost", token="wrong").status_code == 401


def test_the_endpoint_answers_again_after_a_failure_of_its_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "PAUSE", 0.05)
    failed = set[int]()

    def fail_once(server: HTTPServer) -> None:
        if server.server_port not in failed:
            failed.add(server.server_port)
            raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(control._Server, "service_actions", fail_once)
    port, until = serve(), time.monotonic() + 30
    while port not in failed:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert ask(port, "localhost").json() == {"path": "/fs/ls"}


def test_a_failure_of_an_answering_thread_is_logged(capfd: pytest.CaptureFixture[str], port: int) -> None:
    def finish(server: object, request: object, address: object) -> None:
        raise RuntimeError("nobody thought of this")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control._Server, "finish_request", finish)
        with pytest.raises(requests.ConnectionError):
            ask(port, "localhost")
    assert "nobody thought of this" in capfd.readouterr().err


@pytest.mark.parametrize("call", ["fs/ls", "fs/upload?path=file:/tmp/x"])
def test_a_body_of_unknown_length_is_refused_and_not_taken_for_an_empty_one(port: int, call: str) -> None:
    headers = {"Authorization": "Bearer t0ken", "Host": "localhost"}
    body = iter([b'{"path": "/x"}'])
    refused = requests.post(f"http://127.0.0.1:{port}/{call}", data=body, headers=headers, timeout=10)
    assert (refused.status_code, refused.json()["error_code"]) == (411, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("body", "error_code"),
    [
        (b"[" * 5_000, "MALFORMED_REQUEST"),
        (b'{"path": ' + b"[" * 5_000, "MALFORMED_REQUEST"),
        (b'{"path": "\\ud800"}', "INVALID_PARAMETER_VALUE"),
        (b'{"path": "a", "offset": 9223372036854775808}', "INVALID_PARAMETER_VALUE"),
    ],
    ids=["too deep", "too deep a value", "half a character", "more than 64 bits"],
)
def test_what_java_cannot_take_is_refused(body: bytes, error_code: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        free = int(listener.getsockname()[1])
    driver = Mock()
    control.serve(control.Control(driver, driver, driver), "127.0.0.1", free, "t0ken")
    url, headers = f"http://127.0.0.1:{free}/fs/read", {"Authorization": "Bearer t0ken"}
    refused = requests.post(url, data=body, headers=headers, timeout=10)
    assert (refused.status_code, refused.json()["error_code"]) == (400, error_code)
    driver.read.assert_not_called()
