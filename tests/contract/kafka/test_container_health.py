"""The health check of Kafka's container: healthy is a broker that serves, and nothing less."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
import yaml

from foundation.profile import ROOT
from services.kafka.native import address
from tests.servers.service import Running

# An answer to Metadata: size, correlation id, number of brokers.
NO_BROKER = bytes([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0])
ONE_BROKER = bytes([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1])


def check(port: int) -> bool:
    """What Docker makes of the check's end, with the broker's port in the place of the container's."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    kind, *command = compose["services"]["kafka"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert "/dev/tcp/127.0.0.1/9092" in command[-1]
    command[-1] = command[-1].replace("/9092", f"/{port}").replace("$$", "$")
    try:
        return subprocess.run(command, capture_output=True, timeout=5, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """The port of something that answers so once, and then closes the connection."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_broker_that_serves_is_healthy(kafka: Running) -> None:
    assert check(address(kafka.profile)[1])


@pytest.mark.parametrize("answer", [NO_BROKER, NO_BROKER[:8], b""], ids=["no broker", "half", "nothing"])
def test_an_open_port_alone_is_not_healthy(answer: bytes) -> None:
    with answering(answer) as port:
        assert not check(port)


def test_the_answer_is_what_is_judged() -> None:
    with answering(ONE_BROKER) as port:
        assert check(port)


def test_a_closed_port_and_one_where_nobody_answers_are_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not check(port)
    assert not check(port)
