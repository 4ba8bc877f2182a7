"""The project's client of Kafka Connect's REST API, where the worker does not answer as it should."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from foundation.connect import ConnectError, Connector


def test_an_error_whose_answer_is_cut_off_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\n{")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectError, match="500: its answer was cut off") as raised:
            Connector(f"http://127.0.0.1:{listener.getsockname()[1]}", "sink").status()
        thread.join()
    assert raised.value.status == 500
    assert not isinstance(raised.value, http.client.HTTPException)
